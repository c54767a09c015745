package data

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"

	"captioner/data/datatest"
	"captioner/data/text"
)

// utf16 writes a text as PowerShell redirects it.
func utf16(t *testing.T, s string) string {
	t.Helper()
	written, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

// latin1 writes a text of é and ASCII as old programs do.
func latin1(s string) string { return strings.ReplaceAll(s, "é", "\xe9") }

// TestForeignText reads every format of text in every encoding: the captions are the same, and the notes tell.
func TestForeignText(t *testing.T) {
	const caption = "un café noir"
	formats := map[string]string{
		"CSV":        "image,caption\na.jpg," + caption + "\n",
		"TSV":        "image\tcaption\na.jpg\t" + caption + "\n",
		"token file": "a.jpg#0\t" + caption + "\n",
		"JSON lines": `{"image": "a.jpg", "caption": "` + caption + `"}` + "\n",
		"COCO": `{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": "` +
			caption + `"}]}`,
		"Karpathy": `{"images": [{"imgid": 1, "filename": "a.jpg", "split": "train", "sentences": [{"raw": "` +
			caption + `"}]}]}`,
	}
	encodings := []struct {
		name   string
		encode func(string) string
		note   string
	}{
		{"UTF-8", func(s string) string { return s }, ""},
		{"a mark", func(s string) string { return "\ufeff" + s }, ""},
		{"Latin-1", latin1, "read as Windows-1252"},
		{"UTF-16", func(s string) string { return utf16(t, s) }, "read as UTF-16LE with a byte order mark"},
		{"gzip", datatest.Zipped, ""},
		{"gzip of Latin-1", func(s string) string { return datatest.Zipped(latin1(s)) }, "read as Windows-1252"},
	}
	for format, content := range formats {
		for _, e := range encodings {
			path := write(t, "f", e.encode(content))
			d, err := Open(path, "")
			if err != nil {
				t.Errorf("%s, %s: %v", format, e.name, err)
				continue
			}
			list, err := Collect(d.Source)
			if err != nil || len(list) != 1 || !slices.Equal(list[0].Captions, []string{caption}) {
				t.Errorf("%s, %s: got %v, %v, want the caption %q", format, e.name, list, err, caption)
			}
			notes := strings.Join(d.Notes.Lines(), "\n")
			if e.note == "" && notes != "" || !strings.HasSuffix(notes, e.note) {
				t.Errorf("%s, %s: notes: got %q, want %q", format, e.name, notes, e.note)
			}
		}
	}
}

func TestSidecarsOfOthers(t *testing.T) {
	root := datatest.Tree(t, map[string]string{
		"UP.JPG":      "1",
		"UP.TXT":      "a dog",
		"latin.jpg":   "2",
		"latin.txt":   latin1("un café"),
		"wide.jpg":    "3",
		"wide.txt":    utf16(t, "a cat\r\n"),
		"joined.jpg":  "4",
		"joined.txt":  "one\n\ufefftwo\n",
		"another.jpg": "5",
		"another.txt": latin1("le café"),
	})
	d, err := Open(root, "")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"UP.JPG":      {"a dog"},
		"latin.jpg":   {"un café"},
		"wide.jpg":    {"a cat"},
		"joined.jpg":  {"one", "two"},
		"another.jpg": {"le café"},
	}
	for range 2 { // notes do not add up from one range to the next
		list, err := Collect(d.Source)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if !slices.Equal(e.Captions, want[e.ID]) {
				t.Errorf("%s: got %q, want %q", e.ID, e.Captions, want[e.ID])
			}
		}
	}
	notes := d.Notes.Lines()
	if len(notes) != 2 || !strings.HasSuffix(notes[0], `another.txt" and 1 more: read as Windows-1252`) {
		t.Errorf("notes: got %q, want one for Windows-1252 and one for UTF-16", notes)
	}
}

func TestImagesAreNoCaptions(t *testing.T) {
	photo := "\xff\xd8\xff\xe0\x00\x10JFIF\x00" + strings.Repeat("\x01\x02", 100)
	var binary *text.BinaryError
	if _, err := Open(write(t, "f.csv", photo), ""); !errors.As(err, &binary) {
		t.Errorf("as captions: got %v, want a BinaryError", err)
	}
	d, err := Open(datatest.Tree(t, map[string]string{"a.jpg": "1", "a.txt": photo}), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Collect(d.Source); !errors.As(err, &binary) {
		t.Errorf("as a sidecar: got %v, want a BinaryError", err)
	}
}

// headers writes a tar file of members that are more than files.
func headers(t *testing.T, members ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		content := h.Uname // stands here for what the file holds
		h.Uname, h.Size, h.Mode = "", int64(len(content)), 0o666
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatTarFilesHold(t *testing.T) {
	file := func(name, content string) tar.Header {
		return tar.Header{Name: name, Uname: content, Typeflag: tar.TypeReg}
	}
	link := func(kind byte, name, to string) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: kind}
	}
	tests := []struct {
		name    string
		members []tar.Header
		want    map[string][]string // captions by id
		notes   []string            // their ends
	}{
		{
			name: "names with several dots",
			members: []tar.Header{
				file("a.v1.jpg", "1"), file("a.v1.txt", "one"), file("a.v2.jpg", "2"), file("a.v2.txt", "two"),
				file("plain.jpg", "3"), file("plain.txt", "three"),
			},
			want:  map[string][]string{"a.v1": {"one"}, "a.v2": {"two"}, "plain": {"three"}},
			notes: []string{`a.v1.jpg" and 1 more: paired by its name up to the last dot, not to the first`},
		},
		{
			name:    "another kind of image beside one",
			members: []tar.Header{file("a.jpg", "1"), file("a.seg.png", "2"), file("a.txt", "one")},
			want:    map[string][]string{"a": {"one"}},
			notes: []string{
				`a.seg.png": left out: an image with several dots in its name, and no captions of the same name`,
			},
		},
		{
			name: "links",
			members: []tar.Header{
				file("d/a.jpg", "1"), file("d/a.txt", "one"), link(tar.TypeLink, "d/b.jpg", "d/a.jpg"),
				link(tar.TypeSymlink, "d/b.txt", "a.txt"), link(tar.TypeSymlink, "d/c.jpg", "/etc/passwd"),
			},
			want:  map[string][]string{"d/a": {"one"}, "d/b": {"one"}},
			notes: []string{`d/c.jpg": left out: it is a link to what does not stand before it in the archive`},
		},
		{
			name: "the same names again",
			members: []tar.Header{
				file("a.jpg", "1"), file("a.txt", "one"), file("a.jpg", "2"), file("b.jpg", "3"), file("b.txt", "b"),
				file("./a.jpg", "4"), file("a.txt", "four"),
			},
			want:  map[string][]string{"a": {"one"}, "b": {"b"}},
			notes: []string{`a.jpg" and 2 more: left out: the archive has another member of that name before it`},
		},
		{
			name: "what is neither image nor captions",
			members: []tar.Header{
				file("a.jpg", "1"), file("a.txt", latin1("café")), file("a.cls", "5"), file("b.cls", "6"),
				file("._a.jpg", "x"), file("c.txt", "alone"), link(tar.TypeChar, "d.jpg", ""),
			},
			want: map[string][]string{"a": {"café"}},
			notes: []string{
				`a.txt": read as Windows-1252`,
				`a.cls" and 1 more: left out: a member named .cls is neither an image nor captions`,
				`._a.jpg": left out: its name begins with a dot`,
				`d.jpg": left out: it is no file`,
				`c": left out: captions without an image`,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := Open(write(t, "s.tar", headers(t, test.members...)), "")
			if err != nil {
				t.Fatal(err)
			}
			list, err := Collect(d.Source)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				if !slices.Equal(e.Captions, test.want[e.ID]) {
					t.Errorf("%s: got %q, want %q", e.ID, e.Captions, test.want[e.ID])
				}
				if b, err := e.Bytes(); err != nil || len(b) != 1 {
					t.Errorf("%s: got %q, %v, want the image", e.ID, b, err)
				}
			}
			if len(list) != len(test.want) {
				t.Errorf("got %d examples, want %d", len(list), len(test.want))
			}
			notes := d.Notes.Lines()
			for i, want := range test.notes {
				if i >= len(notes) || !strings.HasSuffix(notes[i], want) {
					t.Fatalf("notes: got %q, want %q", notes, test.notes)
				}
			}
			if len(notes) != len(test.notes) {
				t.Errorf("notes: got %q, want %q", notes, test.notes)
			}
		})
	}
}

// TestCompressedTarFiles reads one archive in all its compressions, from a folder and by name.
func TestCompressedTarFiles(t *testing.T) {
	plain := shard(t, tar.FormatUSTAR,
		"a.jpg", "picture", "a.txt", "A", "b.jpg", strings.Repeat("b", 10_000), "b.txt", "B")
	zstandard, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bzip2, err := os.ReadFile("testdata/ab.tar.bz2")
	if err != nil {
		t.Fatal(err)
	}
	xz, err := os.ReadFile("testdata/ab.tar.xz")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"s.tar":     plain,
		"s.tar.gz":  datatest.Zipped(plain),
		"s.tgz":     datatest.Zipped(plain),
		"s.tar.zst": string(zstandard.EncodeAll([]byte(plain), nil)),
		"s.tar.bz2": string(bzip2),
		"s.tar.xz":  string(xz),
		"noname":    datatest.Zipped(plain),
	} {
		root := datatest.Tree(t, map[string]string{name: content})
		for _, open := range []string{filepath.Join(root, name), root} {
			if name == "noname" && open == root {
				continue
			}
			d, err := Open(open, "")
			if err != nil || d.Kind != KindWebDataset {
				t.Errorf("%s: got %q, %v", name, d.Kind, err)
				continue
			}
			for range 2 {
				list, err := Collect(d.Source)
				if err != nil || len(list) != 2 || list[1].Captions[0] != "B" {
					t.Fatalf("%s: got %v, %v, want two examples", name, list, err)
				}
				for i, size := range []int{7, 10_000} {
					if b, err := list[i].Bytes(); err != nil || len(b) != size {
						t.Errorf("%s: image %d: got %d bytes, %v, want %d", name, i, len(b), err, size)
					}
				}
			}
		}
	}
}

// TestFolderWithABackup looks that a compressed archive beside images does not become the data set.
func TestFolderWithABackup(t *testing.T) {
	root := datatest.Tree(t, map[string]string{"a.jpg": "1", "a.txt": "A", "backup.tar.gz": datatest.Zipped("")})
	if d, err := Open(root, ""); err != nil || d.Kind != KindFolder {
		t.Errorf("got %q, %v, want %q", d.Kind, err, KindFolder)
	}
}

// What a folder of training data holds besides its images and their captions is noted, with the reason.
func TestWhatAFolderLeavesOut(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"a.jpg", "a.txt", "b.JPG", "b.jpg.TXT", "c.jxl", "c.txt", "d.txt", "e.zip", "f.tar.gz",
		"in/g.png", "in/h.caption", "Captions_train.json",
		"notes.md", ".hidden.txt", "run/options.json", "run/metrics.jsonl", "run/loss.png"} {
		files[name] = "a dog"
	}
	root := datatest.Tree(t, files)
	if err := os.Symlink(filepath.Join(root, "in"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	d, err := Open(root, "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range d.Source {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	want := []string{
		`"Captions_train.json": left out: captions in a file of their own are not read with a folder: ` +
			`give this file instead`,
		`"c.jxl": left out: images of this format are not read`,
		`"d.txt" and 1 more: left out: no image of that name stands beside it`,
		`"e.zip" and 1 more: left out: archives in a folder are not opened, want each named by itself`,
		`"link": left out: it is a link to a folder`,
		`"run": left out: it is the folder of a training run`,
	}
	got := d.Notes.Lines()
	for i, line := range got {
		got[i] = strings.Replace(line, root+string(filepath.Separator), "", 1)
	}
	slices.Sort(got)
	if n != 3 || !slices.Equal(got, want) {
		t.Errorf("got %d images and %q, want 3 and %q", n, got, want)
	}
}

// TestSharedCases reads the small files of faults that users met.
func TestSharedCases(t *testing.T) {
	for name, want := range map[string]int{"dots.tar": 3, "up": 1, "latin1.csv": 1} {
		d, err := Open(shared(t, "../cases/"+name), "")
		if err != nil {
			t.Fatal(err)
		}
		captions := 0
		for e, err := range d.Source {
			if err != nil {
				t.Fatal(err)
			}
			captions += len(e.Captions)
		}
		if captions != want {
			t.Errorf("%s: got %d captions, want %d", name, captions, want)
		}
	}
}
