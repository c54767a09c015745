package sidecar_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"captioner/data/sidecar"
)

func TestFind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the file system may not tell cases apart")
	}
	tests := []struct {
		name  string
		files []string
		image string
		want  string // "" for none
	}{
		{"the same name", []string{"a.txt"}, "a.jpg", "a.txt"},
		{"the whole name", []string{"a.jpg.txt"}, "a.jpg", "a.jpg.txt"},
		{"the first extension first", []string{"a.caption", "a.jpg.txt"}, "a.jpg", "a.jpg.txt"},
		{"the second extension", []string{"a.caption"}, "a.jpg", "a.caption"},
		{"none", []string{"b.txt", "a.md"}, "a.jpg", ""},
		{"upper case", []string{"UP.TXT"}, "UP.JPG", "UP.TXT"},
		{"extension in lower case", []string{"UP.txt"}, "UP.JPG", "UP.txt"},
		{"all in lower case", []string{"up.txt"}, "UP.JPG", "up.txt"},
		{"the whole name in another case", []string{"up.jpg.TXT"}, "UP.JPG", "up.jpg.TXT"},
		{"the exact name first", []string{"A.TXT", "a.txt"}, "a.jpg", "a.txt"},
		{"that of another image", []string{"A.jpg", "A.txt"}, "a.jpg", ""},
		{"a folder of that name", []string{"a.txt/x"}, "a.jpg", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range append(test.files, test.image) {
				path := filepath.Join(dir, name)
				os.MkdirAll(filepath.Dir(path), 0o777)
				if err := os.WriteFile(path, nil, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			var f sidecar.Finder
			for range 2 { // the second time from memory
				got, ok := f.Find(filepath.Join(dir, test.image), ".txt", ".caption")
				if ok != (test.want != "") || ok && got != filepath.Join(dir, test.want) {
					t.Errorf("got %q, %v, want %q", got, ok, test.want)
				}
			}
		})
	}
}
