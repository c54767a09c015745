package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"captioner/cli/console"
)

// predictFake runs predict with a fake model.
func predictFake(t *testing.T, args ...string) (code int, msg string) {
	t.Helper()
	code, _, msg = run(t, "", append([]string{"predict"}, args...)...)
	return code, msg
}

// lineFormats are the formats of which each line says its image.
var lineFormats = []string{"jsonl", "csv", "tsv", "text"}

// A file of captions without a journal does not say how its images looked: an image that is newer is named, and lines
// of people are counted.
func TestResumeTellsWhatItKeeps(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, out, image string)
		want   string // in a message; "" for none of these
	}{
		{"nothing", func(*testing.T, string, string) {}, ""},
		{"a newer image", func(t *testing.T, _, image string) {
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(image, later, later); err != nil {
				t.Fatal(err)
			}
		}, "kept the captions of 1 image changed after it was written"},
		{"a line", func(t *testing.T, out, _ string) { write(t, out, read(t, out)+"a note\n") },
			"kept 1 line that is not a caption"},
		{"two lines", func(t *testing.T, out, _ string) { write(t, out, read(t, out)+"a note\nanother\n") },
			"kept 2 lines that are not captions"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := pictures(t, 3)
			out := filepath.Join(t.TempDir(), "out.txt")
			if code, msg := predictFake(t, "-o", out, dir); code != 0 {
				t.Fatal(msg)
			}
			tt.change(t, out, filepath.Join(dir, "1.png"))
			code, msg := predictFake(t, "--resume", "-o", out, dir)
			if code != 0 || !strings.Contains(msg, tt.want) || tt.want == "" && strings.Contains(msg, "kept") {
				t.Errorf("exit code %d and %q, want 0 and %q", code, msg, tt.want)
			}
		})
	}
}

// edits are what people do to a file of captions. want is what must be in it after --resume, as often as count says.
var edits = map[string]struct {
	edit func(text string) string
	want func(text string) string // what stays, to the byte
	add  int                      // captions that come new
}{
	"a caption of another length": {
		edit: func(s string) string { return strings.Replace(s, "a green picture", "a meadow at noon", 1) }},
	"a caption of the same length": {
		edit: func(s string) string { return strings.Replace(s, "a green picture", "a grass picture", 1) }},
	"a line that is taken out": {
		edit: func(s string) string {
			l := strings.SplitAfter(s, "\n")
			return strings.Join(append(l[:2:2], l[3:]...), "")
		}, add: 1},
	"the last lines taken out": {
		edit: func(s string) string {
			l := strings.SplitAfter(s, "\n")
			return strings.Join(l[:len(l)-3], "")
		}, add: 2},
	"no end of the last line": {
		edit: func(s string) string { return strings.TrimSuffix(s, "\n") },
		want: func(s string) string { return s + "\n" }},
	"lines in another order": {
		edit: func(s string) string {
			l := strings.SplitAfter(s, "\n")
			l[1], l[2] = l[2], l[1]
			return strings.Join(l, "")
		}},
}

// What a person has changed in a file of captions stays as it is, and nothing is captioned twice, with a journal and
// without.
func TestResumeKeepsEdits(t *testing.T) {
	for _, format := range lineFormats {
		for name, e := range edits {
			for _, journaled := range []bool{false, true} {
				t.Run(format+"/"+name+"/"+map[bool]string{true: "with a journal", false: "without"}[journaled], func(t *testing.T) {
					dir := pictures(t, 5)
					out := filepath.Join(t.TempDir(), "out")
					args := []string{"-q", "--batch-size", "2", "--format", format, "--out", out, dir}
					first := args
					if journaled {
						first = append([]string{"--resume"}, args...)
					}
					if code, msg := predictFake(t, first...); code != 0 {
						t.Fatal(msg)
					}
					edited := e.edit(read(t, out))
					write(t, out, edited)
					want := edited
					if e.want != nil {
						want = e.want(edited)
					}
					if code, msg := predictFake(t, append([]string{"--resume"}, args...)...); code != 0 {
						t.Fatal(msg)
					}
					got := read(t, out)
					if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != strings.Count(want, "\n")+e.add {
						t.Errorf("got\n%s\nwant\n%sand %d more lines", got, want, e.add)
					}
				})
			}
		}
	}
}

// A line that somebody appended stays, also where it is no caption.
func TestResumeKeepsForeignLines(t *testing.T) {
	for name, line := range map[string]string{
		"of an image elsewhere": "elsewhere.png\ta cat\n",
		"that is no caption":    "remember the milk\n",
		"that is empty":         "\n",
		"without an end":        "elsewhere.png\ta cat",
	} {
		for _, journaled := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := pictures(t, 3)
				out := filepath.Join(t.TempDir(), "out.txt")
				args := []string{"-q", "--out", out, dir}
				if journaled {
					args = append(args, "--resume")
				}
				if code, msg := predictFake(t, args...); code != 0 {
					t.Fatal(msg)
				}
				appendTo(t, out, line)
				want := read(t, out)
				for range 2 {
					if code, msg := predictFake(t, "-q", "--resume", "--out", out, dir); code != 0 {
						t.Fatal(msg)
					}
					if got := read(t, out); strings.TrimSuffix(got, "\n") != strings.TrimSuffix(want, "\n") {
						t.Errorf("got\n%s\nwant\n%s", got, want)
					}
				}
			})
		}
	}
}

// A line that somebody appended to the part of a run that was interrupted stays too.
func TestResumeKeepsWhatWasAppendedToAPart(t *testing.T) {
	dir := pictures(t, 5)
	out := filepath.Join(t.TempDir(), "out.txt")
	if code, msg := predictFake(t, "-q", "--resume", "--out", out, dir); code != 0 {
		t.Fatal(msg)
	}
	if err := os.Rename(out, out+".part"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, out+".part", "mine.png\tmy words\n")
	want := read(t, out+".part")
	if code, msg := predictFake(t, "-q", "--resume", "--out", out, dir); code != 0 {
		t.Fatal(msg)
	}
	if got := read(t, out); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A file that is no file of captions stays, and the message says why.
func TestResumeRefusesForeignFiles(t *testing.T) {
	dir := pictures(t, 2)
	for name, tc := range map[string]struct{ format, text, want string }{
		"a letter":                  {"jsonl", "Dear Anna,\nhow are you?\n", "line 1: it is no JSON object"},
		"lines of another kind":     {"text", "one\ntwo\n", "line 1: it has no tab after a path"},
		"a table of something else": {"csv", "name,age\nAnna,7\n", `its first column is "name", want path`},
		"an object":                 {"coco", `{"a": 1}`, "it is no JSON array"},
		"no archive":                {"webdataset", strings.Repeat("x", 2000), "tar"},
		"lines of --template, edited": {"template", "a red picture\n",
			"lines of --template do not say which image they are of"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			write(t, out, tc.text)
			args := []string{"-q", "--out", out, "--format", tc.format, dir}
			if tc.format == "template" {
				args = []string{"-q", "--out", out, "--template", "{caption}", dir}
			}
			code, msg := predictFake(t, append(args, "--resume")...)
			if code != console.ExitFailed || !strings.Contains(msg, tc.want) || !strings.Contains(msg, "--overwrite") {
				t.Errorf("exit code %d, %s, want %s", code, msg, tc.want)
			}
			if got := read(t, out); got != tc.text {
				t.Errorf("it became %q", got)
			}
			if code, msg = predictFake(t, args...); code != console.ExitUsage || !strings.Contains(msg, "is there already") {
				t.Errorf("without --resume: exit code %d, %s", code, msg)
			}
			if got := read(t, out); got != tc.text {
				t.Errorf("without --resume, it became %q", got)
			}
			if code, msg = predictFake(t, append(args, "--overwrite")...); code != 0 || read(t, out) == tc.text {
				t.Errorf("with --overwrite: exit code %d, %s", code, msg)
			}
		})
	}
}

// An image is the same however its folder is spelled.
func TestResumeKnowsAnImageByWhereItIs(t *testing.T) {
	dir := pictures(t, 5)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(wd, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range append(lineFormats, "coco", "webdataset") {
		for _, journaled := range []bool{false, true} {
			out := filepath.Join(t.TempDir(), "out")
			args := []string{"-q", "--format", format, "--out", out}
			first := append(args[:len(args):len(args)], dir)
			if journaled {
				first = append(first, "--resume")
			}
			if code, msg := predictFake(t, first...); code != 0 {
				t.Fatal(msg)
			}
			want := read(t, out)
			for _, spelled := range []string{dir, rel, link, dir + "/", dir + "/../" + filepath.Base(dir), dir + "/*.png"} {
				code, msg := predictFake(t, append(args[:len(args):len(args)], spelled, "--resume")...)
				if got := read(t, out); code != 0 || got != want {
					t.Errorf("%s of %s: exit code %d, %s: got %q, want %q", format, spelled, code, msg, got, want)
				}
			}
		}
	}
}

// The captions of a run that was interrupted are not thrown away unless somebody says so.
func TestNobodysWorkIsThrownAway(t *testing.T) {
	dir := pictures(t, 5)
	out := filepath.Join(t.TempDir(), "c.jsonl")
	if code, msg := predictFake(t, "-q", "--resume", "--out", out, dir); code != 0 {
		t.Fatal(msg)
	}
	done := read(t, out)
	if err := os.Rename(out, out+".part"); err != nil {
		t.Fatal(err)
	}
	code, msg := predictFake(t, "-q", "--out", out, dir)
	for _, want := range []string{"c.jsonl.part", "captions of 5 images", "--resume", "--overwrite"} {
		if code != console.ExitUsage || !strings.Contains(msg, want) {
			t.Errorf("exit code %d, %s, want %s", code, msg, want)
		}
	}
	if got := read(t, out+".part"); got != done {
		t.Errorf("the part became %q", got)
	}
	if code, msg := predictFake(t, "-q", "--resume", "--out", out, dir); code != 0 || read(t, out) != done {
		t.Errorf("exit code %d, %s", code, msg)
	}
}

// A file that changes while a run goes on is not written over.
func TestAFileThatChangesMeanwhileStays(t *testing.T) {
	dir := pictures(t, 2)
	list := filepath.Join(t.TempDir(), "c.txt")
	if code, msg := predictFake(t, "-q", "--out", list, dir); code != 0 {
		t.Fatal(msg)
	}
	p := newProgram(&editing{t: t, file: list, text: filepath.Join(dir, "0.png") + "\n"}, &bytes.Buffer{}, &bytes.Buffer{})
	p.load = openFake
	if code := p.run(t.Context(), []string{"captioner", "predict", "-q", "--resume", "--out", list,
		"-"}); code != console.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	if got := read(t, list); got != "my own words\n" {
		t.Errorf("got %q", got)
	}
}

// editing is a list on standard input whose reader finds the file of captions edited.
type editing struct {
	t          *testing.T
	file, text string
	over       bool
}

func (e *editing) Read(b []byte) (int, error) {
	if e.over {
		return 0, io.EOF
	}
	e.over = true
	write(e.t, e.file, "my own words\n")
	return copy(b, e.text), nil
}
