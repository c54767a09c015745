// Program screenshots makes the images in docs/images: the pages of captioner serve, and the gallery of predict --html,
// each with photographs of examples/, in a Chromium without a window.
//
//	go run ./scripts/screenshots -captioner bin/captioner
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const address = "127.0.0.1:18765"

func main() {
	program := flag.String("captioner", "bin/captioner", "the program")
	out := flag.String("out", "docs/images", "the folder to write to")
	browser := flag.String("browser", "chromium", "the browser")
	flag.Parse()
	if err := run(*program, *out, *browser); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(program, out, browser string) error {
	photos, err := filepath.Glob("examples/*.jpg")
	if err != nil || len(photos) == 0 {
		return errors.New("no photographs in examples/: run this from the top of the clone")
	}
	for i, p := range photos {
		if photos[i], err = filepath.Abs(p); err != nil {
			return err
		}
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	ctx, stop = context.WithTimeout(ctx, 6*time.Minute)
	defer stop()
	if err := chromedp.Run(ctx); err != nil { // one browser for all tabs
		return err
	}
	if err := servicePage(ctx, program, out, photos); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	if err := editPage(ctx, program, out, photos); err != nil {
		return fmt.Errorf("edit page: %w", err)
	}
	if err := gallery(ctx, program, out); err != nil {
		return fmt.Errorf("gallery: %w", err)
	}
	return nil
}

// servicePage drops photographs on the page of a service.
func servicePage(ctx context.Context, program, out string, photos []string) error {
	return serving(ctx, program, nil, func() error {
		return shoot(ctx, filepath.Join(out, "page.jpg"), 960, 860,
			chromedp.Navigate("http://"+address+"/"),
			chromedp.SetUploadFiles("#files", photos[:4], chromedp.ByQuery),
			chromedp.Poll(`document.querySelectorAll('.card.done').length === 4`, nil),
		)
	})
}

// editPage opens the photographs as a training set, with a caption beside the first ones, and captions one.
func editPage(ctx context.Context, program, out string, photos []string) error {
	dir, err := os.MkdirTemp("", "captioner-edit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	captions := []string{"two riders on horses at the beach", "ohwx dog, a brown dog carries a shoe"}
	for i, p := range photos {
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.Base(p))
		if err := os.WriteFile(name, b, 0o666); err != nil {
			return err
		}
		if i < len(captions) {
			text := strings.TrimSuffix(name, filepath.Ext(name)) + ".txt"
			if err := os.WriteFile(text, []byte(captions[i]+"\n"), 0o666); err != nil {
				return err
			}
		}
	}
	return serving(ctx, program, []string{"--edit", dir}, func() error {
		return shoot(ctx, filepath.Join(out, "edit.jpg"), 1120, 940,
			chromedp.Navigate("http://"+address+"/edit"),
			chromedp.Poll(`document.querySelectorAll('.row').length > 4`, nil),
			chromedp.Evaluate(`for (const id of ['next', 'caption']) document.getElementById(id).click()`, nil),
			chromedp.Poll(`!document.getElementById('use').hidden && document.getElementById('image').naturalWidth > 0`, nil),
			chromedp.Evaluate(`scrollTo(0, 0); document.getElementById('folder').textContent = 'Captions of training'`, nil),
		)
	})
}

// serving runs a service while f works.
func serving(ctx context.Context, program string, flags []string, f func() error) error {
	service := exec.CommandContext(ctx, program, append([]string{"serve", "--listen", address}, flags...)...)
	if err := service.Start(); err != nil {
		return err
	}
	defer service.Wait()
	defer service.Process.Kill()
	if err := ready(ctx, "http://"+address+"/readyz"); err != nil {
		return err
	}
	return f()
}

// gallery opens what predict --html wrote.
func gallery(ctx context.Context, program, out string) error {
	dir, err := os.MkdirTemp("", "captioner-gallery-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "gallery.html")
	text, err := exec.CommandContext(ctx, program, "predict", "-q", "examples", "--html", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return shoot(ctx, filepath.Join(out, "gallery.jpg"), 960, 760, chromedp.Navigate("file://"+file))
}

// shoot writes what the browser shows after some actions.
func shoot(ctx context.Context, path string, width, height int64, actions ...chromedp.Action) error {
	ctx, stop := chromedp.NewContext(ctx) // a tab of its own: a page with work in it asks who leaves it
	defer stop()
	var image []byte
	actions = append([]chromedp.Action{chromedp.EmulateViewport(width, height)}, actions...)
	actions = append(actions, chromedp.Sleep(time.Second), chromedp.ActionFunc(func(ctx context.Context) (err error) {
		image, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatJpeg).WithQuality(82).Do(ctx)
		return err
	}))
	if err := chromedp.Run(ctx, actions...); err != nil {
		return err
	}
	return os.WriteFile(path, image, 0o666)
}

// ready waits until the service answers.
func ready(ctx context.Context, url string) error {
	for range 100 {
		if answer, err := http.Get(url); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return errors.New("the service does not get ready")
}
