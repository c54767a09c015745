package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The clients in docs/serving.md work as they stand there: each is run against a service, in a folder with a photo.jpg.
func TestClientsOfTheDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "serving.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Clients\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("docs/serving.md has no section Clients")
	}
	r := serving(t, &fake{}, nil)
	defer r.end()
	photo := imagePNG(1, 2)
	for _, tt := range []struct {
		language, program, file string
		captions                int // that it prints
	}{{"sh", "sh", "client.sh", 6}, {"python", "python3", "client.py", 1}, {"javascript", "node", "client.mjs", 1}} {
		t.Run(tt.language, func(t *testing.T) {
			block := regexp.MustCompile("(?s)\n```" + tt.language + "\n(.*?)```").FindStringSubmatch(section)
			if block == nil {
				t.Fatalf("the section has no client in %s", tt.language)
			}
			needs := []string{tt.program}
			if tt.language == "sh" {
				needs = append(needs, "curl")
			}
			for _, n := range needs {
				if _, err := exec.LookPath(n); err != nil {
					t.Skipf("no %s here", n)
				}
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "photo.jpg"), photo, 0o666); err != nil {
				t.Fatal(err)
			}
			client := strings.ReplaceAll(block[1], "http://127.0.0.1:8080", r.url)
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(client), 0o666); err != nil {
				t.Fatal(err)
			}
			c := exec.CommandContext(t.Context(), tt.program, tt.file)
			c.Dir = dir
			out, err := c.Output()
			if err != nil || strings.Count(string(out), "fake sees") != tt.captions {
				t.Errorf("got %q, %v; want %d captions", out, err, tt.captions)
			}
		})
	}
}
