package cli

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/paths"
)

// leaves lists all commands that do something, with their names below the program.
func leaves(t *testing.T) map[string]*cli.Command {
	t.Helper()
	found := make(map[string]*cli.Command)
	var add func(prefix string, all []*cli.Command)
	add = func(prefix string, all []*cli.Command) {
		for _, c := range all {
			if len(c.Subcommands) == 0 {
				found[prefix+c.Name] = c
			}
			add(prefix+c.Name+" ", c.Subcommands)
		}
	}
	add("", newProgram(nil, io.Discard, io.Discard).newApp().Commands)
	return found
}

// Nobody adds a flag that takes a text without saying whether it is a path, and what is done with it.
func TestEveryTextOfAFlagHasAUse(t *testing.T) {
	for name, c := range leaves(t) {
		for _, f := range c.Flags {
			if _, known := paths.UseOf(name, f.Names()[0]); paths.Text(f) && !known {
				t.Errorf("%s --%s: say in cli/paths whether it is a path that is read or written", name, f.Names()[0])
			}
		}
		if _, known := paths.ArgumentUses(name); c.ArgsUsage != "" && !known {
			t.Errorf("%s %s: say in cli/paths what is done with the arguments", name, c.ArgsUsage)
		}
	}
}

// side is a flag, or an argument, that names a path.
type side struct {
	flag string // "" for an argument
	use  paths.Use
}

func (s side) args(path string) []string {
	if s.flag == "" {
		return []string{path}
	}
	return []string{"--" + s.flag, path}
}

// sides lists what a command reads and what it writes.
func sides(name string, c *cli.Command) (reads, writes []side) {
	add := func(s side) {
		switch s.use {
		case paths.Write:
			writes = append(writes, s)
		case paths.Read, paths.Images, paths.DataSet:
			reads = append(reads, s)
		}
	}
	for _, f := range c.Flags {
		if use, _ := paths.UseOf(name, f.Names()[0]); paths.Text(f) {
			add(side{f.Names()[0], use})
		}
	}
	uses, _ := paths.ArgumentUses(name)
	for _, use := range uses {
		add(side{"", use})
	}
	return reads, writes
}

// spelling is a way to name the file that is read, for the flag that writes.
type spelling struct {
	name  string
	write func(t *testing.T, file string) string
}

var spellings = []spelling{
	{"the same name", func(t *testing.T, file string) string { return file }},
	{"a longer name", func(t *testing.T, file string) string {
		return filepath.Dir(file) + "/../" + filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
	}},
	{"a relative name", func(t *testing.T, file string) string {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(wd, file)
		if err != nil {
			t.Fatal(err)
		}
		return rel
	}},
	{"a symbolic link", func(t *testing.T, file string) string {
		link := filepath.Join(t.TempDir(), "link"+filepath.Ext(file))
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		return link
	}},
	{"a hard link", func(t *testing.T, file string) string {
		link := filepath.Join(filepath.Dir(filepath.Dir(file)), "hard"+filepath.Ext(file))
		os.Remove(link)
		if err := os.Link(file, link); err != nil {
			t.Fatal(err)
		}
		return link
	}},
}

// No output of any command takes the place of an input of any kind, however the two are spelled.
func TestNoOutputIsAnInput(t *testing.T) {
	pairs := 0
	for name, c := range leaves(t) {
		reads, writes := sides(name, c)
		for _, w := range writes {
			for _, r := range reads {
				for _, s := range spellings {
					pairs++
					t.Run(fmt.Sprintf("%s/%s over %s/%s", name, w.flag, r.flag, s.name), func(t *testing.T) {
						file := victim(t)
						args := append(strings.Fields(name), r.args(file)...)
						if name == "weights convert" && r.flag != "" && w.flag == "" {
							args = append(args, "in.safetensors")
						}
						args = append(args, w.args(s.write(t, file))...)
						refused(t, file, args)
					})
				}
			}
		}
	}
	if pairs < 150 {
		t.Errorf("%d pairs of an input and an output, want all", pairs)
	}
}

// victim is a file that must stay as it is.
func victim(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in", "b.jpg")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// refused runs a command line that is wrong usage, in one line that names the file, and leaves everything as it was.
func refused(t *testing.T, file string, args []string) {
	t.Helper()
	before := tree(t, filepath.Dir(filepath.Dir(file)))
	code, _, msg := run(t, "", args...)
	if code != 2 || strings.Count(msg, "error:") != 1 || !strings.Contains(msg, filepath.Base(file)) ||
		!strings.Contains(msg, "a file that is read") && !strings.Contains(msg, "are one file") {
		t.Errorf("%v: exit code %d, %s", args, code, msg)
	}
	if after := tree(t, filepath.Dir(filepath.Dir(file))); after != before {
		t.Errorf("%v: before:\n%safter:\n%s", args, before, after)
	}
}

// tree is a folder with all that is in it.
func tree(t *testing.T, folder string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(&s, "%s %q\n", path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

// An input counts however it is found: in a folder, by a pattern, in a data set, in an archive, on standard input.
func TestNoOutputIsAnInputThatIsFound(t *testing.T) {
	for name, args := range map[string]func(file string) []string{
		"an image of a folder": func(f string) []string { return []string{"predict", filepath.Dir(f), "-o", f} },
		"an image of a folder, by a page": func(f string) []string {
			return []string{"predict", filepath.Dir(f), "--html", f}
		},
		"an image below a folder": func(f string) []string {
			return []string{"predict", filepath.Dir(filepath.Dir(f)), "--failures", f}
		},
		"an image by a pattern": func(f string) []string {
			return []string{"predict", filepath.Dir(f) + "/*.jpg", "-o", f}
		},
		"an image by a deep pattern": func(f string) []string {
			return []string{"predict", filepath.Dir(filepath.Dir(f)) + "/**/b.*", "-o", f}
		},
		"a part of the output": func(f string) []string {
			return []string{"predict", linked(t, f, ".part"), "-o", strings.TrimSuffix(f, ".jpg")}
		},
		"the journal of the output": func(f string) []string {
			return []string{"predict", linked(t, f, ".journal"), "-o", strings.TrimSuffix(f, ".jpg")}
		},
		"the list of failures": func(f string) []string {
			return []string{"predict", linked(t, f, ".failed"), "-o", strings.TrimSuffix(f, ".jpg")}
		},
		"a numbered part": func(f string) []string {
			return []string{"predict", f, "--shard", "1/2", "-o", strings.Replace(f, "b.jpg", "{part}.jpg", 1), "--html",
				numbered(t, f)}
		},
		"an image of a data set": func(f string) []string {
			return []string{"eval", "--data", table(t, f), "--save", f}
		},
		"a caption beside its image": func(f string) []string {
			return []string{"eval", "--data", filepath.Dir(f), "--report", beside(t, f)}
		},
		"the captions, with a split": func(f string) []string {
			return []string{"eval", "--data", f + "#test", "--save-df", f}
		},
		"an archive": func(f string) []string {
			return []string{"predict", archived(t, f), "-o", archived(t, f)}
		},
		"an archive by a pattern": func(f string) []string {
			return []string{"predict", filepath.Dir(archived(t, f)) + "/*.tar", "-o", archived(t, f)}
		},
		"a file of a model folder": func(f string) []string {
			return []string{"predict", f, "--model", filepath.Dir(weightsOf(t, f)), "-o", weightsOf(t, f)}
		},
		"two outputs": func(f string) []string { return []string{"predict", "x.png", "-o", f, "--html", f} },
		"two outputs that differ in case": func(f string) []string {
			return []string{"predict", "x.png", "-o", f, "--failures", filepath.Join(filepath.Dir(f), "B.JPG")}
		},
		"a run in a folder of images": func(f string) []string {
			return []string{"train", "--data", filepath.Dir(f), "--out", filepath.Dir(f)}
		},
		"a run in the folder of the captions": func(f string) []string {
			return []string{"train", "--data", f, "--out", filepath.Dir(f)}
		},
		"a run in a folder of other files": func(f string) []string {
			return []string{"train", "--data", "x", "--out", filepath.Dir(f)}
		},
		"features in the folder of images": func(f string) []string {
			return []string{"encode", filepath.Dir(f), "--out", filepath.Dir(f)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := victim(t)
			line := args(file)
			before := tree(t, filepath.Dir(filepath.Dir(file)))
			if code, _, msg := run(t, "", line...); code != 2 || strings.Count(msg, "error:") != 1 {
				t.Errorf("%v: exit code %d, %s", line, code, msg)
			}
			if after := tree(t, filepath.Dir(filepath.Dir(file))); after != before {
				t.Errorf("%v: before:\n%safter:\n%s", line, before, after)
			}
		})
	}
}

// linked puts the file under another name, which ends in suffix.
func linked(t *testing.T, file, suffix string) string {
	t.Helper()
	name := strings.TrimSuffix(file, ".jpg") + suffix
	write(t, name, "precious too")
	return name
}

func numbered(t *testing.T, file string) string {
	t.Helper()
	name := strings.Replace(file, "b.jpg", "1.jpg", 1)
	write(t, name, "precious too")
	return name
}

func table(t *testing.T, file string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "captions.tsv")
	write(t, name, "path\tcaption\n"+file+"\ta dog\n")
	return name
}

func beside(t *testing.T, file string) string {
	t.Helper()
	name := strings.TrimSuffix(file, ".jpg") + ".txt"
	write(t, name, "my words")
	return name
}

func archived(t *testing.T, file string) string {
	t.Helper()
	name := strings.TrimSuffix(file, ".jpg") + ".tar"
	if _, err := os.Stat(name); err == nil {
		return name
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	w.WriteHeader(&tar.Header{Name: "a.png", Size: 1, Mode: 0o600})
	w.Write([]byte("a"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func weightsOf(t *testing.T, file string) string {
	t.Helper()
	folder := filepath.Join(filepath.Dir(filepath.Dir(file)), "model")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "model.safetensors"), "weights")
	return filepath.Join(folder, "model.safetensors")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Standard output that the shell leads to the end of a file that is read is refused, and the file stays as it was.
func TestStandardOutputIsAnInput(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "a.png")
	write(t, image, pictureBytes(t, "red"))
	list := filepath.Join(dir, "list.txt")
	write(t, list, image+"\n")
	for _, tt := range []struct {
		name, file string
		stdin      string
		args       []string
		code       int
	}{
		{"an image", image, "", []string{"predict", image}, console.ExitUsage},
		{"an image of a folder", image, "", []string{"predict", dir}, console.ExitUsage},
		{"an image of a list", image, image + "\n", []string{"predict", "-"}, console.ExitUsage},
		{"another file", filepath.Join(dir, "log"), "", []string{"predict", image}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := os.OpenFile(tt.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			out.WriteString(strings.Repeat("#", 8)) // behind the end of an image, and in a log
			before := read(t, tt.file)
			var msg bytes.Buffer
			p := newProgram(strings.NewReader(tt.stdin), out, &msg)
			p.load = openFake
			if code := p.run(t.Context(), append([]string{"captioner"}, tt.args...)); code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, msg.String())
			}
			if after := read(t, tt.file); (after == before) == (tt.code == 0) {
				t.Errorf("%d bytes became %d: %s", len(before), len(after), msg.String())
			}
		})
	}
}
