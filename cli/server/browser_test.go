//go:build browser

package server

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	stdimage "image"
	"image/color"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The page in a real browser: go test -tags browser ./cli/server. With CAPTIONER_SCREENSHOTS=FOLDER its images are
// kept.

// tab is a page that shows the service.
type tab struct {
	context.Context
	t         *testing.T
	downloads string
	hosts     *[]string // of requests that went elsewhere
	problems  *[]string // what the console said of errors
}

func openTab(t *testing.T, url string, width, height int64, dark bool) tab {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		t.Skip("no browser: apt-get install chromium")
	}
	profile, err := os.MkdirTemp("", "captioner-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) }) // a helper of the browser may still write to it: then some of it stays
	options := append(
		slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(profile),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.WSURLReadTimeout(2*time.Minute),
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	own, stop := chromedp.NewContext(ctx)
	t.Cleanup(func() { // waits for the browser to end, which does not always say that it will
		bounded, done := context.WithTimeout(own, 5*time.Second)
		chromedp.Cancel(bounded)
		done()
		stop()
	})
	ctx, stop = context.WithTimeout(own, 4*time.Minute)
	t.Cleanup(stop)
	b := tab{ctx, t, t.TempDir(), new([]string), new([]string)}
	site := strings.TrimSuffix(url, "/edit")
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *network.EventRequestWillBeSent:
			own := func(begin string) bool { return strings.HasPrefix(e.Request.URL, begin) }
			if !slices.ContainsFunc([]string{site, "blob:", "data:"}, own) {
				*b.hosts = append(*b.hosts, e.Request.URL)
			}
		case *runtime.EventExceptionThrown:
			*b.problems = append(*b.problems, e.ExceptionDetails.Error())
		}
	})
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.run(
		network.Enable(),
		runtime.Enable(),
		chromedp.EmulateViewport(width, height),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).
			WithDownloadPath(b.downloads).
			WithEventsEnabled(true),
		chromedp.Navigate(url),
		chromedp.WaitVisible("main", chromedp.ByQuery),
	)
	return b
}

func (b tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b tab) eval(js string, to any) {
	b.t.Helper()
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	b.run(chromedp.Evaluate(js, to, await))
}

func (b tab) text(js string) (s string) {
	b.t.Helper()
	b.eval(js, &s)
	return s
}

// until waits for an expression to be true.
func (b tab) until(js string) {
	b.t.Helper()
	b.run(chromedp.Poll(js, nil, chromedp.WithPollingTimeout(3*time.Minute)))
}

// shot keeps an image of the page, where somebody wants it.
func (b tab) shot(name string) {
	b.t.Helper()
	folder := os.Getenv("CAPTIONER_SCREENSHOTS")
	if folder == "" {
		return
	}
	var png []byte
	b.run(chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// view keeps what of the page is in the window.
func (b tab) view(name string) {
	b.t.Helper()
	if folder := os.Getenv("CAPTIONER_SCREENSHOTS"); folder != "" {
		var png []byte
		b.run(chromedp.CaptureScreenshot(&png))
		if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o666); err != nil {
			b.t.Fatal(err)
		}
	}
}

// imageFiles writes two images and a broken one.
func imageFiles(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	long := "a much longer name of an image, as cameras and people give them 2026-11-24 12.00.01.jpg"
	for i, name := range []string{"meadow.jpg", "broken.jpg", long} {
		m := stdimage.NewRGBA(stdimage.Rect(0, 0, 320, 240))
		for y := range 240 {
			for x := range 320 {
				m.SetRGBA(x, y, color.RGBA{uint8(x / 2), uint8(y), uint8(100 * i), 255})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, nil); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			b.Truncate(300)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// drop lets files fall on the page, as a drag from the desktop does.
func (b tab) drop(paths []string) {
	b.t.Helper()
	var files []string
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			b.t.Fatal(err)
		}
		kind := "image/jpeg"
		text, _ := json.Marshal(data)
		name, _ := json.Marshal(filepath.Base(p))
		files = append(
			files,
			fmt.Sprintf(`new File([Uint8Array.from(atob(%s), c => c.charCodeAt(0))], %s, {type: %q})`, text, name, kind),
		)
	}
	b.eval(`{ const d = new DataTransfer(); for (const f of [`+strings.Join(files, ",")+`]) d.items.add(f);
		dispatchEvent(new DragEvent('dragenter', {dataTransfer: d, cancelable: true}));
		dispatchEvent(new DragEvent('drop', {dataTransfer: d, cancelable: true, bubbles: true})); }`, nil)
}

// saved waits for a download.
func (b tab) saved(name string) []byte {
	b.t.Helper()
	path := filepath.Join(b.downloads, name)
	var data []byte
	until(b.t, func() bool {
		var err error
		data, err = os.ReadFile(path)
		return err == nil && len(data) > 0
	})
	return data
}

// save presses Save for a format.
func (b tab) save(format string) {
	b.t.Helper()
	b.run(chromedp.SetValue(`#format`, format, chromedp.ByQuery), chromedp.Click(`#save`, chromedp.ByQuery))
}

const (
	doneCount   = `document.querySelectorAll('.card.done').length`
	failedCount = `document.querySelectorAll('.card.wrong').length`
)

func browserService(t *testing.T) string {
	t.Helper()
	r := serving(t, &fake{}, nil)
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	return r.url
}

func TestBrowserDropEditSave(t *testing.T) {
	b := openTab(t, browserService(t)+"/", 1280, 900, false)
	b.shot("wide-light-empty")
	b.drop(imageFiles(t))
	b.until(doneCount + ` === 2 && ` + failedCount + ` === 1`)
	got := b.text(`document.querySelector('.card.wrong .why').textContent`)
	if !strings.Contains(got, "not an image that can be read") {
		t.Errorf("the broken image says %q", got)
	}
	b.until(`document.getElementById('progress').textContent === '3 of 3 done, 1 failed'`)
	b.until(`document.getElementById('live').textContent.includes('fake sees')`) // what a screen reader is told
	b.run(
		chromedp.Click(`.card.done [data-do=more]`, chromedp.ByQuery),
		chromedp.WaitVisible(`.card.done .others button`, chromedp.ByQuery),
	)
	if got := b.text(`document.querySelector('.confidence').textContent`); !strings.Contains(got, "50 %") {
		t.Errorf("confidence %q", got)
	}
	b.shot("wide-light")
	b.run(chromedp.Click(`.card.done .others button`, chromedp.ByQuery))
	if got := b.text(`document.querySelector('.card.done textarea').value`); !strings.Contains(got, "take 2") {
		t.Errorf("after choosing an alternative: %q", got)
	}
	b.run(
		chromedp.Evaluate(`document.querySelector('.card.done textarea').select()`, nil),
		chromedp.SendKeys(`.card.done textarea`, `My "own", caption & more`, chromedp.ByQuery),
	)
	b.save("jsonl")
	lines := strings.Split(strings.TrimSpace(string(b.saved("captions.jsonl"))), "\n")
	var first struct {
		Path, Caption string
		Edited        bool
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 2 ||
		first.Caption != `My "own", caption & more` ||
		first.Path != "meadow.jpg" ||
		!first.Edited {
		t.Errorf("JSONL: got %q (%v)", lines, err)
	}
	b.save("csv")
	table := "path,caption,logprob,confidence\r\nmeadow.jpg,\"My \"\"own\"\", caption & more\",-2.5,0.5\r\n"
	if got := string(b.saved("captions.csv")); !strings.HasPrefix(got, table) {
		t.Errorf("CSV: got %q", got)
	}
	b.save("zip")
	data := b.saved("captions.zip")
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(z.File) != 2 || z.File[0].Name != "meadow.txt" {
		t.Fatalf("zip: %v, %+v", err, z)
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "My \"own\", caption & more\n" {
		t.Errorf("in the zip: got %q, %v", got, err)
	}
	copied := `{ window.copied = []; navigator.clipboard.writeText = async s => { copied.push(s) } }`
	b.eval(copied, nil)
	b.run(
		chromedp.Click(`.card.done [data-do=alt]`, chromedp.ByQuery),
		chromedp.Click(`.card.done [data-do=text]`, chromedp.ByQuery),
	)
	if got := b.text(`copied.join('|')`); got != `alt="My &quot;own&quot;, caption &amp; more"|My "own", caption & more` {
		t.Errorf("copied %q", got)
	}
	if len(*b.hosts) > 0 || len(*b.problems) > 0 {
		t.Errorf("requests to other hosts %q, errors %q; want none", *b.hosts, *b.problems)
	}
}

// Everything can be reached and done with the keyboard alone, in the order in which it stands.
func TestBrowserKeyboard(t *testing.T) {
	b := openTab(t, browserService(t)+"/", 1024, 800, true)
	b.drop(imageFiles(t)[:1])
	b.until(doneCount + ` === 1`)
	var seen []string
	press := func(key string) string {
		b.run(chromedp.KeyEvent(key))
		return b.text(`(e => e.dataset.do || e.dataset.save || e.id || e.tagName)(document.activeElement)`)
	}
	for range 25 {
		at := press(kb.Tab)
		if slices.Contains(seen, at) {
			break
		}
		seen = append(seen, at)
	}
	for i, want := range []string{
		"A", "choose", "choose-folder", "SUMMARY", "format", "save", "clear", "show", "most", "has", "TEXTAREA",
	} {
		if i >= len(seen) || seen[i] != want {
			t.Fatalf("focus went %q, want %q at %d", seen, want, i)
		}
	}
	if len(seen) != 11 { // what comes next is the link at the foot, which is an A again
		t.Errorf("focus went %q, want one stop for the card", seen)
	}
	// Within the card the arrow keys go on, from the end of the caption.
	b.eval(`{ const box = document.querySelector('.card textarea'); box.focus(); box.setSelectionRange(2, 2) }`, nil)
	if at := press(kb.ArrowDown); at != "TEXTAREA" {
		t.Errorf("in the middle of the caption: %q, want the cursor to move", at)
	}
	b.eval(`document.querySelector('.card textarea').setSelectionRange(999, 999)`, nil)
	for _, want := range []string{"text", "alt", "more"} {
		if at := press(kb.ArrowRight); at != want {
			t.Fatalf("by the arrow key: %q, want %q", at, want)
		}
	}
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`.others button`, chromedp.ByQuery))
	if at := press(kb.ArrowDown); at != "use" {
		t.Errorf("behind Details: %q, want the alternatives", at)
	}
	press(kb.Enter)
	if got := b.text(`document.querySelector('.card textarea').value`); !strings.Contains(got, "take 2") {
		t.Errorf("after Enter on an alternative: %q", got)
	}
	b.shot("middle-dark")
	b.eval(`document.querySelector('.card [data-do=remove]').focus()`, nil)
	if at := press(kb.Enter); at != "choose" {
		t.Errorf("after removing the last image the focus is on %q, want choose", at)
	}
	b.eval(`document.getElementById('undo').focus()`, nil)
	if at := press(kb.Enter); at != "remove" {
		t.Errorf("after undoing that the focus is on %q, want remove", at)
	}
	if got := b.text(`document.querySelector('.card textarea').value`); !strings.Contains(got, "take 2") {
		t.Errorf("after undoing that the caption is %q", got)
	}
}

// At 360 pixels nothing is cut off, light or dark.
func TestBrowserPhone(t *testing.T) {
	url := browserService(t) + "/"
	for _, dark := range []bool{false, true} {
		b := openTab(t, url, 360, 740, dark)
		name := map[bool]string{false: "phone-light", true: "phone-dark"}[dark]
		b.shot(name + "-empty")
		b.drop(imageFiles(t))
		b.until(doneCount + ` === 2 && ` + failedCount + ` === 1`)
		b.run(chromedp.Click(`summary`, chromedp.ByQuery), chromedp.Click(`.card.done [data-do=more]`, chromedp.ByQuery))
		var wide float64
		b.eval(`document.documentElement.scrollWidth - innerWidth`, &wide)
		if wide > 0 {
			t.Errorf("%s: the page is %g pixels too wide", name, wide)
		}
		small := b.text(`[...document.querySelectorAll('button, summary, input')]
			.filter(e => (r => r.width && (r.height < 40 || r.width < 40))(e.getBoundingClientRect()))
			.map(e => e.textContent.trim() || e.id).join()`)
		if small != "" {
			t.Errorf("%s: too small for a finger: %s", name, small)
		}
		b.shot(name)
	}
}

// What a person wrote is never lost: not to a new run, not to "Remove all", not to leaving the page unasked.
func TestBrowserKeepsWork(t *testing.T) {
	b := openTab(t, browserService(t)+"/", 1280, 900, false)
	b.drop(imageFiles(t))
	b.until(doneCount + ` === 2 && ` + failedCount + ` === 1`)
	asks := func() (asked bool) {
		b.eval(`!dispatchEvent(new Event('beforeunload', {cancelable: true}))`, &asked)
		return asked
	}
	if !asks() {
		t.Error("with captions that are not saved, leaving is not asked")
	}
	b.run(chromedp.Evaluate(`document.querySelector('.card.done textarea').select()`, nil),
		chromedp.SendKeys(`.card.done textarea`, `mine`, chromedp.ByQuery))
	b.save("csv")
	b.saved("captions.csv")
	if asks() {
		t.Error("after saving, leaving is asked")
	}
	b.run(chromedp.Click(`summary`, chromedp.ByQuery), chromedp.Click(`#again`, chromedp.ByQuery))
	b.until(doneCount + ` === 2 && ` + failedCount + ` === 1`)
	captions := `[...document.querySelectorAll('.card.done textarea')].map(e => e.value).join('|')`
	if got := b.text(captions); got != "mine|fake sees 1 3" && !strings.HasPrefix(got, "mine|fake sees") {
		t.Errorf("after all again: got %q", got)
	}
	if got := b.text(`document.querySelector('#note p').textContent`); got != "1 edited caption kept" {
		t.Errorf("the page says %q", got)
	}
	b.shot("kept")
	b.run(chromedp.Click(`#clear`, chromedp.ByQuery))
	b.until(`document.querySelectorAll('.card').length === 0`)
	b.shot("removed")
	b.run(chromedp.Click(`#undo`, chromedp.ByQuery))
	b.until(doneCount + ` === 2 && ` + failedCount + ` === 1`)
	if got := b.text(captions); !strings.HasPrefix(got, "mine|fake sees") {
		t.Errorf("after undo: got %q", got)
	}
	if got := b.text(`[...document.querySelectorAll('button[data-do]')].filter(b => b.checkVisibility() && !b.ariaLabel.
		includes(b.closest('.card').querySelector('.name').textContent)).map(b => b.textContent).join()`); got != "" {
		t.Errorf("buttons that do not name their image: %s", got)
	}
}

// A folder is taken with its subfolders, and what is no image is counted.
func TestBrowserFolder(t *testing.T) {
	b := openTab(t, browserService(t)+"/", 1280, 900, false)
	dir := filepath.Join(t.TempDir(), "holiday")
	for name, data := range map[string][]byte{
		"2.png": imagePNG(2, 0), "10.png": imagePNG(10, 0), "sub/a.png": imagePNG(3, 0), "notes.txt": []byte("x"),
		".hidden.png": imagePNG(4, 0),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: []string{dir}, DragOperationsMask: 1}
	for _, kind := range []input.DispatchDragEventType{input.DragEnter, input.DragOver, input.Drop} {
		b.run(input.DispatchDragEvent(kind, 400, 200, data))
	}
	b.until(doneCount + ` === 3`)
	names := `[...document.querySelectorAll('.card .name')].map(e => e.textContent).join()`
	if got := b.text(names); got != "holiday/2.png,holiday/10.png,holiday/sub/a.png" {
		t.Errorf("dropped: got %s", got)
	}
	if got := b.text(`document.querySelector('#note p').textContent`); !strings.HasPrefix(got, "2 files left out") {
		t.Errorf("the page says %q", got)
	}
	b.save("zip")
	archive := b.saved("captions.zip")
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil || len(z.File) != 3 || z.File[2].Name != "holiday/sub/a.txt" {
		t.Errorf("zip: %v, %+v", err, z)
	}
	b.run(chromedp.Click(`#clear`, chromedp.ByQuery),
		chromedp.SetUploadFiles(`#folder`, []string{dir}, chromedp.ByQuery))
	b.until(doneCount + ` === 3`)
	if got := b.text(names); !strings.Contains(got, "holiday/sub/a.png") {
		t.Errorf("chosen: got %s", got)
	}
}

// With 200 images progress and Save stay in sight, and a screen reader hears a few sentences.
func TestBrowserTwoHundred(t *testing.T) {
	url := browserService(t) + "/"
	for _, width := range []int64{360, 768, 1280} {
		b := openTab(t, url, width, 800, width == 768)
		dir := t.TempDir()
		var paths []string
		for i := range 200 {
			path := filepath.Join(dir, fmt.Sprintf("%d.png", i))
			if err := os.WriteFile(path, imagePNG(byte(i), 7), 0o666); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
		b.eval(`window.heard = [];
			new MutationObserver(all => all.forEach(m => m.addedNodes.forEach(n => heard.push(n.textContent))))
			.observe(document.getElementById('live'), {childList: true})`, nil)
		b.drop(paths)
		b.until(doneCount + ` === 200`)
		b.until(`document.getElementById('live').textContent.includes('200 of 200 done')`)
		var heard int
		if b.eval(`heard.length`, &heard); heard > 20 {
			t.Errorf("%d wide: a screen reader hears %d sentences, want at most 20", width, heard)
		}
		b.eval(`scrollTo(0, document.documentElement.scrollHeight / 2)`, nil)
		b.until(`scrollY > 1000`)
		for _, id := range []string{`#progress`, `#save`} {
			var seen bool
			b.eval(`(r => r.top >= 0 && r.bottom <= innerHeight && r.left >= 0 && r.right <= innerWidth)(
				document.querySelector('`+id+`').getBoundingClientRect())`, &seen)
			if !seen {
				t.Errorf("%d wide: %s is out of sight half-way down", width, id)
			}
		}
		b.view(fmt.Sprintf("two-hundred-%d", width))
	}
}

// A service with tokens is usable after one was entered, and an image that waits for a full queue comes through.
func TestBrowserToken(t *testing.T) {
	r := serving(t, &fake{}, nil)
	defer r.end()
	r.SetTokens([]string{"0123456789abcdef"})
	b := openTab(t, r.url+"/", 800, 800, false)
	b.until(`!document.getElementById('token-field').hidden`)
	b.drop(imageFiles(t)[:1])
	b.until(failedCount + ` === 1`)
	b.shot("token")
	b.run(
		chromedp.SendKeys("#token", "0123456789abcdef"+kb.Enter, chromedp.ByQuery),
		chromedp.Click(`.card [data-do=retry]`, chromedp.ByQuery),
	)
	b.until(doneCount + ` === 1`)
	if got := b.text(`document.getElementById('model').textContent`); got != "Model: fake" {
		t.Errorf("model line %q", got)
	}
}

// What axe-core finds: rules of WCAG 2.2 AA and good practice, in every state of the page, light and dark. scripts/axe
// fetches it and runs this.
func TestBrowserAxe(t *testing.T) {
	path := os.Getenv("CAPTIONER_AXE")
	if path == "" {
		t.Skip("CAPTIONER_AXE does not name axe.min.js: scripts/axe does")
	}
	axe, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	url := browserService(t) + "/"
	editor, _ := editService(t, 30)
	for _, dark := range []bool{false, true} {
		for _, width := range []int64{360, 1280} {
			check := func(b tab, state string) {
				t.Helper()
				b.eval(string(axe)+"; true", nil)
				found := b.text(`axe.run().then(r => r.passes.length < 10
					? 'only ' + r.passes.length + ' rules had something to look at'
					: r.violations.map(v => v.impact + ': ' + v.id + ': ' + v.help + ': ' +
						v.nodes.map(n => n.target).join(' ')).join('\n'))`)
				if found != "" {
					t.Errorf("%s, %d wide, dark %t:\n%s", state, width, dark, found)
				}
			}
			b := openTab(t, url, width, 900, dark)
			check(b, "empty")
			b.drop(imageFiles(t))
			b.until(doneCount + ` === 2 && ` + failedCount + ` === 1`)
			b.run(chromedp.Click(`summary`, chromedp.ByQuery), chromedp.Click(`.card.done [data-do=more]`, chromedp.ByQuery))
			check(b, "with captions, an error and settings")

			b = openTab(t, editor+"/edit", width, 900, dark)
			b.until(`document.querySelectorAll('.row').length > 4`)
			b.run(chromedp.Click(`#caption`, chromedp.ByQuery))
			b.until(`document.getElementById('new').textContent.includes('fake sees')`)
			b.eval(`document.querySelectorAll('details').forEach(d => { d.open = true })`, nil)
			check(b, "the editor with a new caption, and all settings")

			for _, file := range filepath.SplitList(os.Getenv("CAPTIONER_AXE_FILES")) {
				b = openTab(t, "file://"+file, width, 900, dark)
				b.eval(`document.querySelectorAll('details').forEach(d => { d.open = true })`, nil)
				check(b, filepath.Base(file))
			}
		}
	}
}
