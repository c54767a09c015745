package cli

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
		in := inputs{args: []string{file}, recursive: true}
		for i := range in.all() {
			if i.err != nil {
				continue
			}
			if got, err := i.open(t.Context()); err == nil && len(got) > 1100*len(b)+1024 {
				t.Errorf("%q: %d bytes of an archive of %d", i.path, len(got), len(b))
			}
		}
	})
}
