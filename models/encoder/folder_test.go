package encoder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a download leaves in the place of a description is named; a byte order mark is none of it.
func TestDirRead(t *testing.T) {
	dir := t.TempDir()
	var c struct {
		Type string `json:"model_type"`
	}
	for text, want := range map[string]string{
		"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n": "pointer of Git LFS",
		"<!DOCTYPE html><html></html>":                                       "a web page",
		"[1]":                                                                "found JSON of type array, want an object",
		"\xef\xbb\xbf{\"model_type\": \"blip\"}":                             "",
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := ReadJSON(Dir(dir), "config.json", &c)
		switch {
		case want == "" && (err != nil || c.Type != "blip"):
			t.Errorf("%q: got %q, %v, want blip", text, c.Type, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
		var foreign *ForeignError
		if stray := strings.HasPrefix(text, "v") || strings.HasPrefix(text, "<"); errors.As(err, &foreign) != stray {
			t.Errorf("%q: got %T, want a ForeignError: %v", text, err, stray)
		}
	}
}
