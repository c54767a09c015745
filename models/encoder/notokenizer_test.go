package encoder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestVetTokenizer(t *testing.T) {
	dir := t.TempDir()
	var foreign *ForeignError
	if err := VetTokenizer(Dir(dir), "tokenizer.json", "vocab.txt"); !errors.As(err, &foreign) || foreign.Hint() == "" {
		t.Errorf("none: got %v, want a ForeignError with a remedy", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vocab.txt"), []byte("[PAD]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := VetTokenizer(Dir(dir), "tokenizer.json", "vocab.txt"); err != nil {
		t.Errorf("vocab.txt: got %v, want none", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := VetTokenizer(Dir(dir), "tokenizer.json", "vocab.txt"); !errors.As(err, &foreign) {
		t.Errorf("a web page: got %v, want a ForeignError", err)
	}
}
