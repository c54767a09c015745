//go:build unix

package atomicfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"captioner/weights/atomicfile"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinks writes through links of every kind: the target gets the content, and the links stay links.
func TestLinks(t *testing.T) {
	tests := []struct {
		name   string
		make   func(dir string) error
		write  string // below dir
		target string
	}{
		{
			name: "to a file",
			make: func(d string) error {
				return errors.Join(os.WriteFile(d+"/a", nil, 0o666), os.Symlink("a", d+"/l"))
			},
			write:  "l",
			target: "a",
		},
		{
			name:   "to a missing file",
			make:   func(d string) error { return os.Symlink("a", d+"/l") },
			write:  "l",
			target: "a",
		},
		{
			name: "chain to a missing file in another folder",
			make: func(d string) error {
				return errors.Join(os.Mkdir(d+"/x", 0o777), os.Symlink("x/m", d+"/l"), os.Symlink("../a", d+"/x/m"))
			},
			write:  "l",
			target: "a",
		},
		{
			name: "up from a folder that is a link itself",
			make: func(d string) error {
				return errors.Join(os.MkdirAll(d+"/x/y", 0o777), os.Symlink("x/y", d+"/f"),
					os.Symlink("f/../a", d+"/l"))
			},
			write:  "l",
			target: "x/a",
		},
		{
			name:   "through a linked folder",
			make:   func(d string) error { return errors.Join(os.Mkdir(d+"/x", 0o777), os.Symlink("x", d+"/f")) },
			write:  "f/a",
			target: "x/a",
		},
		{
			name:   "absolute",
			make:   func(d string) error { return os.Symlink(d+"/a", d+"/l") },
			write:  "l",
			target: "a",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, test.make(dir))
			must(t, atomicfile.WriteFile(filepath.Join(dir, test.write), put("new")))
			holds(t, filepath.Join(dir, test.target), "new")
			if info, _ := os.Lstat(filepath.Join(dir, test.target)); !info.Mode().IsRegular() {
				t.Errorf("the target is %v, want a file", info.Mode())
			}
			if info, err := os.Lstat(filepath.Join(dir, "l")); err == nil && info.Mode().Type() != fs.ModeSymlink {
				t.Errorf("the link became %v", info.Mode())
			}
		})
	}
}

// TestRefused tries what no file may be put in the place of, and looks that it is still there.
func TestRefused(t *testing.T) {
	tests := []struct {
		name string
		make func(path string) error
		want string
	}{
		{"folder", func(p string) error { return os.Mkdir(p, 0o777) }, "it is a folder, want a file"},
		{"named pipe", func(p string) error { return syscall.Mkfifo(p, 0o666) }, "it is a named pipe, want a file"},
		{"socket", makeSocket, "it is a socket, want a file"},
		{"device", makeDevice, "it is a device, want a file"},
		{
			name: "link to a named pipe",
			make: func(p string) error { return errors.Join(syscall.Mkfifo(p+"2", 0o666), os.Symlink(p+"2", p)) },
			want: "it is a named pipe, want a file",
		},
		{
			name: "loop of links",
			make: func(p string) error { return errors.Join(os.Symlink(p+"2", p), os.Symlink(p, p+"2")) },
			want: "too many levels of symbolic links",
		},
		{
			name: "link into a missing folder",
			make: func(p string) error { return os.Symlink("none/a", p) },
			want: "no such file or directory",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a")
			if err := test.make(path); errors.Is(err, errSkip) {
				t.Skip(err)
			} else {
				must(t, err)
			}
			before, err := os.Lstat(path)
			must(t, err)
			err = atomicfile.WriteFile(path, put("x"))
			if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("write %q: ", path)) ||
				!strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got %v, want it to end in %q", err, test.want)
			}
			if after, err := os.Lstat(path); err != nil || after.Mode() != before.Mode() {
				t.Errorf("after it: found %v, %v, want %v", after, err, before.Mode())
			}
			var target *atomicfile.TargetError
			if errors.As(err, &target) && target.Hint() == "" {
				t.Error("no hint")
			}
		})
	}
	for _, path := range []string{"", "new/", "none/a"} {
		if err := atomicfile.WriteFile(path, put("x")); err == nil {
			t.Errorf("write %q: got nil, want an error", path)
		}
	}
}

var errSkip = errors.New("only root makes devices")

func makeSocket(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l.Close()
}

func makeDevice(path string) error {
	if os.Getuid() != 0 {
		return errSkip
	}
	const null = 1<<8 | 3 // the numbers of /dev/null: nothing is lost if the check fails
	if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, null); err != nil {
		return fmt.Errorf("%w: %w", errSkip, err)
	}
	return nil
}

// TestTakenMeanwhile puts something else in the place of the target between Create and Commit.
func TestTakenMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	f, err := atomicfile.Create(path)
	must(t, err)
	defer f.Abort()
	put("x")(f)
	must(t, syscall.Mkfifo(path, 0o666))
	var target *atomicfile.TargetError
	if err := f.Commit(); !errors.As(err, &target) {
		t.Errorf("Commit: got %v, want a TargetError", err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("found %v, %v, want the named pipe", info, err)
	}
}

// TestStandardOutput tries /dev/stdout's way to an open file, with a file and with a pipe behind it.
func TestStandardOutput(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "file"))
	must(t, err)
	defer file.Close()
	gone, err := os.Create(filepath.Join(dir, "gone"))
	must(t, err)
	defer gone.Close()
	must(t, os.Remove(gone.Name()))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	for _, open := range []*os.File{file, gone, w} {
		link := filepath.Join(dir, "stdout")
		must(t, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", open.Fd()), link))
		var target *atomicfile.TargetError
		if err := atomicfile.WriteFile(link, put("x")); !errors.As(err, &target) {
			t.Errorf("%s: got %v, want a TargetError", open.Name(), err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: the link became %v, %v", open.Name(), info, err)
		}
		must(t, os.Remove(link))
	}
}

func TestHardLinksAreBroken(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	must(t, os.WriteFile(path, []byte("old"), 0o666))
	must(t, os.Link(path, other))
	must(t, atomicfile.WriteFile(path, put("new")))
	holds(t, path, "new")
	holds(t, other, "old")
}

func TestOwnerIsKept(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	path := filepath.Join(t.TempDir(), "a")
	must(t, os.WriteFile(path, []byte("old"), 0o640))
	must(t, os.Chown(path, 1234, 2345))
	must(t, atomicfile.WriteFile(path, put("new")))
	info, err := os.Stat(path)
	must(t, err)
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 1234 || s.Gid != 2345 || info.Mode() != 0o640 {
		t.Errorf("found owner %d:%d and mode %v, want 1234:2345 and 0640", s.Uid, s.Gid, info.Mode())
	}
}

func TestReadOnlyFileIsRefused(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write to every file")
	}
	path := filepath.Join(t.TempDir(), "a")
	must(t, os.WriteFile(path, []byte("old"), 0o444))
	if err := atomicfile.WriteFile(path, put("new")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want %v", err, fs.ErrPermission)
	}
	holds(t, path, "old")
}
