package input

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzArchives(f *testing.F) {
	f.Add([]byte("PK\x05\x06"+strings.Repeat("\x00", 18)), true)
	f.Add(make([]byte, 1024), false)
	f.Fuzz(func(t *testing.T, b []byte, zipped bool) {
		file := filepath.Join(t.TempDir(), "a.tar")
		if zipped {
			file = filepath.Join(t.TempDir(), "a.zip")
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		in := Inputs{Args: []string{file}, Recursive: true}
		for i := range in.All() {
			if i.Err != nil {
				continue
			}
			if got, err := i.Open(t.Context()); err == nil && len(got) > max(1100*len(b)+1024, 1<<20) {
				t.Errorf("%q: %d bytes of an archive of %d", i.Path, len(got), len(b))
			}
		}
	})
}
