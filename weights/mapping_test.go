package weights

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestForget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Map(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][2]int{{0, len(want)}, {3, 9}, {5000, 5000}, {100, len(want) - 7}} {
		Forget(m.Bytes()[part[0]:part[1]])
		if !bytes.Equal(m.Bytes(), want) {
			t.Errorf("after forgetting bytes %v: found another content", part)
		}
	}
	own := bytes.Clone(want)
	Forget(own)
	if !bytes.Equal(own, want) {
		t.Error("forgetting changed memory outside of a map")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	Forget(own)
}
