package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"captioner/cli/console"
	"captioner/cli/input"
)

func TestWatch(t *testing.T) {
	dir := pictures(t, 1)
	out := filepath.Join(t.TempDir(), "out.txt")
	cmd, stderr := process(t, 0, "predict", "--watch", "--out", out, "--sidecar", ".txt", "--existing", "overwrite", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	captioned := func(name, caption string) {
		t.Helper()
		want := console.Escape(filepath.Join(dir, name)) + "\t" + caption + "\n"
		end := time.Now().Add(60 * time.Second)
		for {
			b, _ := os.ReadFile(out)
			if strings.Contains(string(b), want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s is not captioned: %s", name, b)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	file := func(name, color string) {
		t.Helper()
		if err := writePicture(filepath.Join(dir, name), colors[color]); err != nil {
			t.Fatal(err)
		}
	}
	captioned("0.png", "a red picture")
	file("new.png", "green")
	captioned("new.png", "a green picture")

	// A new folder, with what comes into it before and after it is seen; a move into it.
	if err := os.MkdirAll(filepath.Join(dir, "sub/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	file("sub/deep/a.png", "blue")
	captioned("sub/deep/a.png", "a blue picture")
	file("sub/deep/b.png", "white")
	file("../moved.png", "black")
	if err := os.Rename(filepath.Join(dir, "../moved.png"), filepath.Join(dir, "sub/moved.png")); err != nil {
		t.Fatal(err)
	}
	captioned("sub/deep/b.png", "a white picture")
	captioned("sub/moved.png", "a black picture")

	// A file that is written slowly, with longer pauses than a settled one has: open all the time, or closed in between.
	whole := pictureBytes(t, "green")
	for i, open := range []bool{true, false} {
		name := fmt.Sprintf("slow%d.png", i)
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		half := len(whole) / 2
		io.WriteString(f, whole[:half])
		if !open {
			f.Close()
		}
		time.Sleep(input.WatchSettle + 700*time.Millisecond)
		if !open {
			if f, err = os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(f, whole[half:])
		f.Close()
		captioned(name, "a green picture")
	}

	// One that goes again before it has settled, one that changes, and what is no image.
	file("gone.png", "red")
	os.Remove(filepath.Join(dir, "gone.png"))
	os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600)
	file("new.png", "blue")
	captioned("new.png", "a blue picture")

	// Captions stand in the file as they come. Somebody who edits it meanwhile, in place or by putting another in its
	// place, keeps what was written, and so do the captions that come then.
	appendTo(t, out, "mine\tmy words\n")
	file("later.png", "red")
	captioned("later.png", "a red picture")
	other := filepath.Join(filepath.Dir(out), "other")
	write(t, other, strings.Replace(read(t, out), "a white picture", "a white sheet of paper", 1))
	if err := os.Rename(other, out); err != nil {
		t.Fatal(err)
	}
	file("last.png", "green")
	captioned("last.png", "a green picture")
	if text := read(t, out); !strings.Contains(text, "mine\tmy words\n") || !strings.Contains(text, "sheet of paper") {
		t.Errorf("an edit is lost:\n%s", text)
	}

	cmd.Process.Signal(syscall.SIGTERM)
	if code := exitStatus(cmd.Wait()); code != console.ExitDone {
		t.Errorf("exit code %d, want %d: %s", code, console.ExitDone, stderr)
	}
	if strings.Contains(stderr.String(), "error:") {
		t.Errorf("standard error %s", stderr)
	}
	got := read(t, out)
	if n := strings.Count(got, "\n"); n != 11 {
		t.Errorf("%d lines, want 11:\n%s", n, got)
	}
	if read(t, filepath.Join(dir, "sub/deep/a.txt")) != "a blue picture\n" {
		t.Error("no sidecar")
	}
}

func TestWatchRefuses(t *testing.T) {
	dir := pictures(t, 1)
	for _, tc := range []struct {
		want string
		code int
		args []string
	}{
		{"takes folders, found", console.ExitUsage, []string{filepath.Join(dir, "0.png")}},
		{"takes folders, not standard input", console.ExitUsage, []string{"-"}},
		{"no such file", console.ExitFailed, []string{filepath.Join(dir, "nothing")}},
		{"--html could be written", console.ExitUsage, []string{"--html", "x.html", dir}},
	} {
		if code, _, msg := run(t, "", append([]string{"predict", "--watch"}, tc.args...)...); code != tc.code ||
			!strings.Contains(msg, tc.want) {
			t.Errorf("%v: exit code %d, %s, want %d, %s", tc.args, code, msg, tc.code, tc.want)
		}
	}
}
