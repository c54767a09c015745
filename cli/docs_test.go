package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"captioner/cli/flags"
)

// page is one of the documents, by its path from the top of the repository.
type page struct{ path, text string }

// pages are README.md, the documents of the top level and docs/.
func pages(t *testing.T) []page {
	t.Helper()
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil || len(paths) < 8 {
		t.Fatalf("got %d pages in docs, %v, want at least 8", len(paths), err)
	}
	var all []page
	for _, path := range append(paths, "../README.md", "../ARCHITECTURE.md", "../CONTRIBUTING.md", "../CHANGELOG.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page{strings.TrimPrefix(path, "../"), string(text)})
	}
	return all
}

// TestDocsAreShort holds each page to what a person reads at once.
func TestDocsAreShort(t *testing.T) {
	limits := map[string]int{"README.md": 9000, "ARCHITECTURE.md": 10_000, "CHANGELOG.md": 16_000}
	for _, p := range pages(t) {
		limit, ok := limits[p.path]
		if !ok {
			limit = 12_000
		}
		if len(p.text) > limit {
			t.Errorf("%s has %d bytes, want at most %d", p.path, len(p.text), limit)
		}
	}
	images, err := filepath.Glob("../docs/images/*")
	if err != nil || len(images) == 0 {
		t.Fatalf("got %d images, %v, want some", len(images), err)
	}
	for _, path := range images {
		if info, err := os.Stat(path); err != nil || info.Size() > 150_000 {
			t.Errorf("%s: %v, want a file of at most 150 kB", path, err)
		}
	}
}

var (
	codeBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	inlineTag = regexp.MustCompile("`(--[a-z][a-z0-9-]*)")
)

// TestDocsLinks follows the links between the pages, and to files.
func TestDocsLinks(t *testing.T) {
	anchors := map[string]map[string]bool{}
	all := pages(t)
	for _, p := range all {
		anchors[p.path] = map[string]bool{}
		for _, h := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(p.text, ""), -1) {
			anchors[p.path][anchor(h[1])] = true
		}
	}
	for _, p := range all {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			file, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := p.path
			if file != "" {
				target = filepath.Join(filepath.Dir(p.path), file)
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s: link to %s: %v", p.path, m[1], err)
			}
			if fragment != "" && !anchors[target][fragment] {
				t.Errorf("%s: link to %s: no such heading", p.path, m[1])
			}
		}
	}
}

// TestDocsFiles looks for the files of the repository that the pages name.
func TestDocsFiles(t *testing.T) {
	named := regexp.MustCompile("`([a-z]+/[A-Za-z0-9_./-]+\\.(?:go|c|h|cpp|py|json|md))`")
	for _, p := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(p.text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil && p.path != "CHANGELOG.md" {
				t.Errorf("%s: %v", p.path, err)
			}
		}
	}
}

// anchor is what a heading is called in links.
func anchor(heading string) string {
	heading = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(heading), " ", "-"))
	return regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(heading, "")
}

// TestDocsCommands holds the commands and flags in the pages to those that there are.
func TestDocsCommands(t *testing.T) {
	app := newProgram(nil, nil, &bytes.Buffer{}).newApp()
	commands := 0
	for _, p := range pages(t) {
		for _, block := range codeBlock.FindAllStringSubmatch(p.text, -1) {
			for _, args := range captionerCommands(block[2]) {
				commands++
				if _, err := flags.Arrange(app, args); err != nil {
					t.Errorf("%s: %s: %v", p.path, strings.Join(args, " "), err)
				}
			}
		}
	}
	if commands < 30 {
		t.Errorf("got %d commands, want at least 30", commands)
	}
}

// captionerCommands finds the calls of captioner in a block of shell or of YAML.
func captionerCommands(block string) (all [][]string) {
	call := regexp.MustCompile(`^(?:bin/)?captioner$`)
	block = strings.ReplaceAll(block, "\\\n", " ")
	for _, line := range strings.Split(block, "\n") {
		if _, list, ok := strings.Cut(line, "command: ["); ok { // YAML
			list, _, _ = strings.Cut(list, "]")
			line = "$ " + strings.ReplaceAll(list, ", ", " ")
		} else if !strings.HasPrefix(line, "$ ") && !strings.HasPrefix(line, "captioner ") {
			continue
		}
		words := shellWords(strings.TrimPrefix(line, "$ "))
		for i, w := range words {
			if call.MatchString(w) && i+1 < len(words) && words[i+1] != "&&" {
				args := []string{"captioner"}
				for _, arg := range words[i+1:] {
					if arg == "|" || arg == "&&" || arg == "…" || arg == ">" {
						break
					}
					args = append(args, arg)
				}
				all = append(all, args)
			}
		}
	}
	return all
}

// shellWords splits a line at spaces that are not quoted, and leaves a comment out.
func shellWords(line string) (words []string) {
	var word strings.Builder
	quote, open := rune(0), false
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case quote == 0 && r == ' ':
			if open {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		case quote == 0 && r == '#' && !open:
			return words
		default:
			word.WriteRune(r)
			open = true
		}
	}
	return words
}

// TestDocsFlags holds flags that stand in the text to those that any command has.
func TestDocsFlags(t *testing.T) {
	others := map[string]string{ // flags of other programs
		"--readme": "scripts/bench/fullsize.py", "--peer": "scripts/bench", "--runs": "scripts/bench",
		"--help": "every command",
	}
	known := map[string]bool{}
	app := newProgram(nil, nil, &bytes.Buffer{}).newApp()
	for _, f := range app.Flags {
		for _, name := range f.Names() {
			known["--"+name] = true
		}
	}
	for _, c := range app.Commands {
		for _, c := range append(c.Subcommands, c) {
			for _, f := range c.Flags {
				for _, name := range f.Names() {
					known["--"+name] = true
				}
			}
		}
	}
	for _, p := range pages(t) {
		if p.path == "CHANGELOG.md" { // which also tells what was
			continue
		}
		text := codeBlock.ReplaceAllString(p.text, "")
		for _, m := range inlineTag.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] && others[m[1]] == "" {
				t.Errorf("%s: no command has %s", p.path, m[1])
			}
		}
	}
}

// TestREADMECaptions captions examples/ as README.md does, with the built-in model.
func TestREADMECaptions(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "$ bin/captioner predict examples/\n")
	want, _, found := strings.Cut(block, "$ ")
	if !found {
		t.Fatal("README.md does not caption examples/")
	}
	t.Chdir("..")
	var stdout, stderr bytes.Buffer
	args := []string{"captioner", "predict", "-q", "--device", "cpu", "examples/"}
	if code := Main(context.Background(), args, strings.NewReader(""), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if stdout.String() != want {
		t.Errorf("got\n%swant, as in README.md,\n%s", &stdout, want)
	}
}
