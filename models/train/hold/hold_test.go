package hold

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTake(t *testing.T) {
	dir := t.TempDir()
	release, err := Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	var taken *TakenError
	if _, err := Take(dir); !errors.As(err, &taken) || taken.Dir != dir {
		t.Errorf("got %v, want a TakenError of %s", err, dir)
	}
	release()
	release, err = Take(dir)
	if err != nil {
		t.Fatalf("got %v after the release, want the folder", err)
	}
	defer release()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("got %v and %v in the folder, want nothing", left, err)
	}
}

func TestTakeSweeps(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".state.safetensors.1.tmp", "state.safetensors", ".keep"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release, err := Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("got %v and %v, want the two whole files", left, err)
	}
}
