package parquet_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/data/parquet"
	"captioner/data/record"
)

var names = parquet.Names{Path: record.PathNames, Captions: record.CaptionNames, Split: record.SplitNames}

// open opens one of the files that scripts/fixtures/parquet.py makes.
func open(t *testing.T, name string) *parquet.File {
	t.Helper()
	f, err := parquet.Open(filepath.Join("testdata", name+".parquet"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLayout(t *testing.T) {
	for name, want := range map[string]parquet.Layout{
		"structs": {Image: "image.bytes", Path: "image.path", Captions: "captions"},
		"bytes":   {Image: "jpg", Captions: "text"},
		"paths":   {Path: "file_name", Captions: "caption", Split: "split"},
		"nested":  {Path: "path", Captions: "caption"},
	} {
		got, err := open(t, name).Layout(names)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func rows(t *testing.T, f *parquet.File, wanted func(string) bool) (all []parquet.Row) {
	t.Helper()
	for row, err := range f.Rows(wanted) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

func TestRows(t *testing.T) {
	got := rows(t, open(t, "structs"), func(c string) bool { return c != "image.bytes" })
	want := []parquet.Row{
		{"image": parquet.Row{"path": "red.png"}, "captions": []any{"a red image", "red"}, "n": int64(1)},
		{"image": parquet.Row{"path": "green.png"}, "captions": []any{"a green image"}, "n": nil},
		{"image": parquet.Row{"path": nil}, "captions": nil, "n": int64(3)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = rows(t, open(t, "nested"), nil)
	want = []parquet.Row{{"path": "a.png", "caption": "a dog", "flag": true, "objects": []any{
		parquet.Row{"name": "dog", "score": 0.5}, parquet.Row{"name": nil, "score": 1.0}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, row := range rows(t, open(t, "bytes"), nil) {
		b, _ := parquet.Get(row, "jpg").([]byte)
		if png := bytes.HasPrefix(b, []byte("\x89PNG")); png != (i != 1) {
			t.Errorf("row %d: %d bytes of an image", i, len(b))
		}
	}
	n := 0
	for range open(t, "paths").Rows(nil) {
		n++
		break
	}
	if n != 1 {
		t.Error("a break does not end the rows")
	}
}

const lines = `{"path":"a.jpg","caption":"a <dog>","logprob":-2.5,"confidence":0.5,"model":"m"}
{"path":"\ufffd","path_bytes":"/w==","caption":"","logprob":null,"confidence":0.25,"uncertain":true,"model":"m",` +
	`"preview":"NEF","captions":[{"caption":"","logprob":null,"confidence":0.25,"uncertain":true},` +
	`{"caption":"b","logprob":-3,"confidence":0.1}],"keywords":[{"keyword":"dog","probability":0.75}]}
`

// TestLines writes lines, in pieces, and reads them back.
func TestLines(t *testing.T) {
	want := strings.ReplaceAll(lines, `\ufffd`, "\ufffd")
	path := filepath.Join(t.TempDir(), "x.parquet")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewWriter(out)
	for rest := want; rest != ""; {
		n := min(len(rest), 7)
		if _, err := io.WriteString(w, rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if !parquet.Is(path) {
		t.Error("it is no Parquet file")
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var got bytes.Buffer
	if n, err := parquet.WriteLines(&got, in); err != nil || n != int64(len(want)) {
		t.Errorf("%d bytes, %v, want %d", n, err, len(want))
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	if _, err := parquet.NewWriter(io.Discard).Write([]byte("no JSON\n")); err == nil {
		t.Error("a line that is no JSON is taken")
	}
	other, err := os.Open("testdata/structs.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := parquet.WriteLines(io.Discard, other); err == nil || !strings.Contains(err.Error(), `no column "path"`) {
		t.Errorf("another table: %v", err)
	}
}

func FuzzRows(f *testing.F) {
	for _, name := range []string{"structs", "bytes", "paths", "nested"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".parquet"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parquet.Read(bytes.NewReader(b), int64(len(b))) // a file for each takes most of the time
		if err != nil {
			return
		}
		n := 0
		for _, err := range p.Rows(nil) {
			if n++; err != nil || n > 1000 {
				return
			}
		}
	})
}
