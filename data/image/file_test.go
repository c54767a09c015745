//go:build unix

package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestDecodeFileRefuses(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(in("pipe.jpg"), 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	huge, err := os.Create(in("huge.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if err := errors.Join(
		huge.Truncate(MaxFileBytes+1), // no blocks are written
		os.WriteFile(in("empty.jpg"), nil, 0o600),
		os.WriteFile(in("text.jpg"), []byte("not a picture"), 0o600),
		os.Symlink("nowhere", in("dangling.jpg")),
		os.Symlink("pipe.jpg", in("link.jpg")),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want error
		text string
	}{
		{dir, ErrNotRegular, "decode image: not a regular file: directory"},
		{in("pipe.jpg"), ErrNotRegular, "decode image: not a regular file: named pipe"},
		{in("link.jpg"), ErrNotRegular, "decode image: not a regular file: named pipe"},
		{"/dev/zero", ErrNotRegular, "decode image: not a regular file: device"},
		{in("huge.jpg"), ErrTooLarge, "decode image: too large: file of 1073741825 bytes, limit 1073741824"},
		{in("empty.jpg"), ErrEmpty, "decode image: no data: 0 bytes"},
		{in("text.jpg"), ErrUnsupported, ""},
		{in("missing.jpg"), fs.ErrNotExist, "no such file or directory"},
		{in("dangling.jpg"), fs.ErrNotExist, "no such file or directory"},
	} {
		m, err := DecodeFile(c.path, DefaultOptions())
		if m != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v, want error %v", c.path, m, err, c.want)
			continue
		}
		if want := `read image "` + c.path + `": ` + c.text; c.text != "" && err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}
