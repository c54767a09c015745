package edit_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/cli/server/edit"
)

// folder makes a folder of files; names with a "/" stand in folders, and content "-> x" is a link to x.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "set")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, link := strings.CutPrefix(content, "-> "); link {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, dir string) *edit.Folder {
	t.Helper()
	f, err := edit.Open(dir, ".txt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func listed(t *testing.T, f *edit.Folder) (map[string]edit.Entry, edit.LeftOut) {
	t.Helper()
	l, err := f.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]edit.Entry{}
	for _, e := range l.Images {
		entries[e.Name] = e
	}
	return entries, l.LeftOut
}

func TestList(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(outside, []byte("secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	f := open(t, folder(t, map[string]string{
		"a.jpg": "", "a.txt": "one dog\r\nruns\r\n", "b.PNG": "", "sub/c.webp": "", "sub/c.webp.txt": "c",
		"wide.jpg": "", "wide.txt": "\xff\xfed\x00\xe9\x00", "old.jpg": "", "old.txt": "caf\xe9",
		"linked.jpg": "", "linked.txt": "-> " + outside, "binary.jpg": "", "binary.txt": "\x00\x01\x02",
		"folder.jpg": "", "folder.txt/x": "", "link.jpg": "-> a.jpg", "away": "-> " + filepath.Dir(outside),
		".hidden/d.jpg": "", ".e.jpg": "", "notes.md": "", "raw.nef": "", "bad\xff.jpg": "",
	}))
	entries, left := listed(t, f)
	got := map[string][3]string{}
	for name, e := range entries {
		problem := ""
		if e.Problem != "" {
			problem = "a problem"
		}
		got[name] = [3]string{e.Caption, e.File, problem}
	}
	want := map[string][3]string{
		"a.jpg": {"one dog\nruns", "a.txt", ""}, "b.PNG": {"", "b.txt", ""}, "sub/c.webp": {"c", "sub/c.webp.txt", ""},
		"wide.jpg": {"dé", "wide.txt", ""}, "old.jpg": {"café", "old.txt", ""},
		"linked.jpg": {"", "linked.txt", "a problem"}, "binary.jpg": {"", "binary.txt", "a problem"},
		"folder.jpg": {"", "folder.txt", "a problem"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if want := (edit.LeftOut{Links: 2, Names: 1, Unread: 1}); left != want {
		t.Errorf("left out: got %+v, want %+v", left, want)
	}
}

// What is saved has the encoding, the byte order mark and the line ends of the file, and nothing is left beside it.
func TestSave(t *testing.T) {
	for _, test := range []struct {
		name, before, caption, after string // before "" is no file
		note                         bool
	}{
		{name: "a new file", caption: "a dog", after: "a dog\n"},
		{name: "a line end stays", before: "x\n", caption: "a dog", after: "a dog\n"},
		{name: "no line end stays", before: "x", caption: "a dog", after: "a dog"},
		{name: "Windows' line ends", before: "x\r\ny\r\n", caption: "a\nb", after: "a\r\nb\r\n"},
		{name: "line ends of the browser", before: "x\n", caption: "a\r\nb\r\n", after: "a\nb\n"},
		{name: "a byte order mark", before: "\xef\xbb\xbfx\n", caption: "é", after: "\xef\xbb\xbfé\n"},
		{name: "UTF-16", before: "\xff\xfex\x00", caption: "é", after: "\xff\xfe\xe9\x00"},
		{name: "Windows-1252", before: "caf\xe9\n", caption: "thé", after: "th\xe9\n"},
		{name: "a character that it lacks", before: "caf\xe9\n", caption: "日", after: "日\n", note: true},
		{name: "emptied", before: "x\n", caption: "", after: ""},
		{name: "the same", before: "x\r\n\r\n", caption: "x", after: "x\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"a.jpg": ""}
			if test.before != "" {
				files["a.txt"] = test.before
			}
			dir := folder(t, files)
			f := open(t, dir)
			before, _ := listed(t, f)
			got := f.Save([]edit.Save{{Name: "a.jpg", Caption: test.caption, Version: before["a.jpg"].Version}})[0]
			b, err := os.ReadFile(filepath.Join(dir, "a.txt"))
			if err != nil || string(b) != test.after || got.Error != "" || (got.Note != "") != test.note {
				t.Errorf("got %q, %v, %+v, want %q", b, err, got, test.after)
			}
			after, _ := listed(t, f)
			if e := after["a.jpg"]; e.Version != got.Version {
				t.Errorf("version %q, want %q as it is listed", got.Version, e.Version)
			}
			if all, _ := os.ReadDir(dir); len(all) != 2 {
				t.Errorf("left beside it: %v", all)
			}
		})
	}
}

// A file that somebody else has written meanwhile stays, and the editor learns what it holds.
func TestSaveInConflict(t *testing.T) {
	dir := folder(t, map[string]string{"a.jpg": "", "a.txt": "mine\n", "b.jpg": ""})
	f := open(t, dir)
	entries, _ := listed(t, f)
	for name, content := range map[string]string{"a.txt": "theirs\n", "b.txt": "new\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got := f.Save([]edit.Save{
		{Name: "a.jpg", Caption: "edited", Version: entries["a.jpg"].Version}, {Name: "b.jpg", Caption: "edited"},
	})
	for i, want := range []string{"theirs", "new"} {
		if !got[i].Conflict || got[i].Current != want {
			t.Errorf("got %+v, want a conflict with %q", got[i], want)
		}
		again := f.Save([]edit.Save{{Name: got[i].Name, Caption: "edited", Version: got[i].Version}})[0]
		if again.Error != "" || again.Conflict {
			t.Errorf("with the new version: got %+v", again)
		}
	}
}

// Nothing outside the folder is read or written, whatever the name.
func TestNamesStayInside(t *testing.T) {
	outside := t.TempDir()
	for _, name := range []string{"o.jpg", "o.txt"} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte("theirs"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	dir := folder(t, map[string]string{
		"a.jpg": "x", "link.jpg": "-> " + filepath.Join(outside, "o.jpg"), "away": "-> " + outside,
		"out.jpg": "x", "out.txt": "-> " + filepath.Join(outside, "o.txt"),
		"new.jpg": "x", "new.txt": "-> " + filepath.Join(outside, "n.txt"),
		"inner.jpg": "-> a.jpg", ".dot.jpg": "x", "notes.txt": "x", "dir.jpg/x": "",
	})
	f := open(t, dir)
	for _, name := range []string{
		"link.jpg", "away/o.jpg", "inner.jpg", "../set/a.jpg", "../o.jpg", filepath.Join(outside, "o.jpg"), "./a.jpg",
		"a.jpg/", "a.jpg/../a.jpg", "", ".", "..", "/", ".dot.jpg", "notes.txt", "dir.jpg", "a.jpg\x00.jpg", `..\o.jpg`,
		"missing.jpg", "a.jpg/b.jpg", strings.Repeat("x", 5000) + ".jpg", "\xff.jpg",
	} {
		if b, err := f.Image(name); err == nil {
			t.Errorf("%.40q: read %q, want an error", name, b)
		}
		if got := f.Save([]edit.Save{{Name: name, Caption: "mine"}})[0]; got.Error == "" {
			t.Errorf("%.40q: got %+v, want an error", name, got)
		}
	}
	for _, name := range []string{"out.jpg", "new.jpg"} { // the image is one of the folder, its caption a link
		if got := f.Save([]edit.Save{{Name: name, Caption: "mine"}})[0]; !strings.Contains(got.Error, "is a link") {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
	if b, err := os.ReadFile(filepath.Join(outside, "o.txt")); string(b) != "theirs" {
		t.Errorf("outside: found %q, %v", b, err)
	}
	if all, _ := os.ReadDir(outside); len(all) != 2 {
		t.Errorf("outside: found %v, want what was there", all)
	}
	if b, err := f.Image("a.jpg"); string(b) != "x" {
		t.Errorf("a.jpg: got %q, %v", b, err)
	}
}

func TestSaveRefusesWhatIsNoText(t *testing.T) {
	f := open(t, folder(t, map[string]string{"a.jpg": ""}))
	for _, caption := range []string{"a\x00b", "\x1b[31m", "\xff", strings.Repeat("x", 1<<17)} {
		if got := f.Save([]edit.Save{{Name: "a.jpg", Caption: caption}})[0]; got.Error == "" {
			t.Errorf("%.20q: got %+v, want an error", caption, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := folder(t, map[string]string{"a.jpg": ""})
	for _, test := range [][2]string{
		{dir, ".jpg"}, {dir, ".JPG"}, {dir, "txt"}, {dir, "."}, {dir, "./../x"}, {dir, ".xmp"}, {dir, ""},
		{filepath.Join(dir, "a.jpg"), ".txt"}, {filepath.Join(dir, "missing"), ".txt"},
	} {
		if f, err := edit.Open(test[0], test[1]); err == nil {
			f.Close()
			t.Errorf("%q: opened, want an error", test)
		}
	}
}

// Only pages of the service itself may ask, by a name of this machine.
func TestLocal(t *testing.T) {
	for _, test := range []struct {
		host    string
		headers []string
		ok      bool
	}{
		{"localhost:8080", nil, true},
		{"127.0.0.1:8080", nil, true},
		{"127.0.0.1", nil, true},
		{"[::1]:8080", nil, true},
		{"evil.example:8080", nil, false},
		{"localhost.evil.example", nil, false},
		{"127.0.0.1.evil.example", nil, false},
		{"192.168.1.5:8080", nil, false},
		{"", nil, false},
		{"localhost:8080", []string{"Origin", "http://localhost:8080", "Sec-Fetch-Site", "same-origin"}, true},
		{"localhost:8080", []string{"Sec-Fetch-Site", "none"}, true},
		{"localhost:8080", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"localhost:8080", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"localhost:8080", []string{"Origin", "http://localhost:3000"}, false},
		{"localhost:8080", []string{"Origin", "https://localhost:8080"}, false},
		{"localhost:8080", []string{"Origin", "null"}, false},
		{"localhost:8080", []string{"Origin", "http://evil.example"}, false},
	} {
		r := httptest.NewRequest("POST", "/edit/save", nil)
		r.Host = test.host
		for i := 0; i+1 < len(test.headers); i += 2 {
			r.Header.Set(test.headers[i], test.headers[i+1])
		}
		if err := edit.Local(r); (err == nil) != test.ok {
			t.Errorf("%s %q: got %v, want ok %t", test.host, test.headers, err, test.ok)
		}
	}
}
