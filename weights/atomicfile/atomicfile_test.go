package atomicfile_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"captioner/weights/atomicfile"
)

func put(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// holds checks what a file holds, and that nothing else was left in its folder.
func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s: found %q, %v, want %q", path, got, err, want)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), atomicfile.Temporary)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, content := range []string{"first", "", "third"} {
		if err := atomicfile.WriteFile(path, put(content)); err != nil {
			t.Fatal(err)
		}
		holds(t, path, content)
	}
	if err := atomicfile.WriteFile(path, put("fourth"), atomicfile.NoSync); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "fourth")
}

func TestFailureKeepsTheOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := atomicfile.WriteFile(path, put("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := atomicfile.WriteFile(path, func(w io.Writer) error { put("half")(w); return broken })
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), fmt.Sprintf("write %q: ", path)) {
		t.Errorf("got %v, want the writer's error with the path", err)
	}
	holds(t, path, "old")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the writer's panic was swallowed")
			}
		}()
		atomicfile.WriteFile(path, func(io.Writer) error { panic("bug") })
	}()
	holds(t, path, "old")

	f, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	put("half")(f)
	f.Abort()
	f.Abort()
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Abort: got %v, want %v", err, fs.ErrClosed)
	}
	holds(t, path, "old")
}

func TestAbortAfterCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	f, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	put("new")(f)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before Commit: got %v, want no file", err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Abort()
	holds(t, path, "new")
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are those of Unix")
	}
	dir := t.TempDir()
	fresh := filepath.Join(dir, "fresh")
	made, err := os.OpenFile(filepath.Join(dir, "plain"), os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	made.Close()
	want, _ := os.Stat(made.Name())
	if err := atomicfile.WriteFile(fresh, put("x")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.Stat(fresh); got.Mode() != want.Mode() {
		t.Errorf("new file: found mode %v, want %v, as os.Create gives", got.Mode(), want.Mode())
	}
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o666, 0o755} {
		if err := os.Chmod(fresh, mode); err != nil {
			t.Fatal(err)
		}
		if err := atomicfile.WriteFile(fresh, put("y")); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.Stat(fresh); got.Mode() != mode {
			t.Errorf("old file: found mode %v, want %v", got.Mode(), mode)
		}
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("out", link); err != nil {
		t.Skip(err)
	}
	target, err := atomicfile.Target(link)
	if err != nil || target != path {
		t.Fatalf("Target: got %q, %v, want %q", target, err, path)
	}
	part, err := os.Create(target + ".part")
	if err != nil {
		t.Fatal(err)
	}
	put("parts")(part)
	if err := atomicfile.Replace(part, link); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "parts")
	if info, _ := os.Lstat(link); info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link became %v", info.Mode())
	}
	if _, err := os.Stat(target + ".part"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part: got %v, want it gone", err)
	}
}
