package data

import (
	"archive/tar"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/datatest"
)

// read writes the bytes to a file, opens it and checks what holds for any bytes: errors are RecordErrors, and what is
// read is no longer than what was written, and the same in the second round.
func read(t *testing.T, b []byte, open func(path string) (Source, error)) []Example {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "f")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := open(path)
	var record *RecordError
	if err != nil {
		if !errors.As(err, &record) {
			t.Errorf("error of type %T: %v", err, err)
		}
		return nil
	}
	var list []Example
	length := 0
	for e, err := range s {
		if err != nil {
			if !errors.As(err, &record) {
				t.Errorf("error of type %T: %v", err, err)
			}
			continue
		}
		list = append(list, e)
		for _, c := range e.Captions {
			length += len(c)
		}
	}
	if length > 3*len(b) { // a byte that is not UTF-8 becomes three
		t.Errorf("%d bytes of captions of %d bytes", length, len(b))
	}
	again := 0
	for e, err := range s {
		if err == nil {
			if again >= len(list) || e.ID != list[again].ID {
				t.Fatalf("second round: example %d is %q", again, e.ID)
			}
			again++
		}
	}
	return list
}

func FuzzCOCO(f *testing.F) {
	f.Add([]byte(twoImages))
	f.Add(
		[]byte(
			`{"images":[{"id":1.5e3,"file_name":"../a"},{"id":"1.5e3","file_name":"a"}],` +
				`"annotations":[{"image_id":1.5e3,"caption":"\ud800"}],"x":null}`,
		),
	)
	f.Fuzz(func(t *testing.T, b []byte) {
		open := func(path string) (Source, error) { return COCO(path, "images") }
		list := read(t, b, open)
		if list == nil || len(Check(FromList(list), nil).DuplicateIDs) > 0 {
			return // the captions of an id that stands twice belong to both
		}
		type image struct {
			ID   string `json:"id"`
			File string `json:"file_name"`
		}
		type caption struct {
			ImageID string `json:"image_id"`
			Caption string `json:"caption"`
		}
		out := struct {
			Annotations []caption `json:"annotations"`
			Images      []image   `json:"images"`
		}{[]caption{}, []image{}}
		for _, e := range list {
			name, err := filepath.Rel("images", e.Path)
			if err != nil {
				name = e.Path
			}
			out.Images = append(out.Images, image{e.ID, name})
			for _, c := range e.Captions {
				out.Annotations = append(out.Annotations, caption{e.ID, c})
			}
		}
		written, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		same(t, read(t, written, open), list)
	})
}

func FuzzKarpathy(f *testing.F) {
	f.Add([]byte(karpathy))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, split := range []string{"", "train"} {
			read(t, b, func(path string) (Source, error) { return Karpathy(path, "images", split) })
		}
	})
}

func FuzzTokenFile(f *testing.F) {
	f.Add([]byte("a.jpg#0\tA dog .\nb#c.jpg#12\t\n\n"))
	f.Add([]byte(datatest.Zipped("a.jpg#0\tA dog .\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		open := func(path string) (Source, error) { return TokenFile(path, "/images", "") }
		list := read(t, b, open)
		var out strings.Builder
		for _, e := range list {
			for _, c := range e.Captions {
				out.WriteString(e.ID + "#0\t" + c + "\n")
			}
		}
		if len(list) > 0 && !strings.Contains(out.String(), "\r") {
			same(t, read(t, []byte(out.String()), open), list)
		}
	})
}

func FuzzTable(f *testing.F) {
	for _, s := range []string{"image,caption\na.jpg,\"A \"\"dog\"\"\"\n", "a.jpg,A\nb.jpg,B\n",
		"image;caption;split\na;\"A\nB\";val\n", "path\ttext\na\t\"A\"\n", "image_name| comment\na| b\n",
		"caption1,caption 2,file\nA,,c\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		open := func(path string) (Source, error) { return Table(path, "/images", "") }
		list := read(t, b, open)
		read(t, b, func(path string) (Source, error) { return Table(path, "", "val") })
		var out strings.Builder
		w := csv.NewWriter(&out)
		w.Write([]string{"path", "caption"})
		for _, e := range list {
			for _, c := range e.Captions {
				w.Write([]string{e.ID, c})
			}
			if len(e.Captions) == 0 {
				return
			}
		}
		w.Flush()
		if !strings.Contains(out.String(), "\r") { // encoding/csv makes \n of \r\n
			same(t, read(t, []byte(out.String()), open), list)
		}
	})
}

func FuzzRecords(f *testing.F) {
	for _, s := range []string{`{"image":"a","caption":"A"}` + "\n" + `{"path":"b","captions":["B","C"],"split":"val"}`,
		`[{"file_name":"a","text":"A"}]`, `[]`, "\n\n{}", `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		open := func(path string) (Source, error) { return Records(path, "/images", "") }
		list := read(t, b, open)
		read(t, b, func(path string) (Source, error) { return Records(path, "", "val") })
		var out []byte
		for _, e := range list {
			line, err := json.Marshal(map[string]any{"path": e.ID, "captions": append([]string{}, e.Captions...)})
			if err != nil {
				t.Fatal(err)
			}
			out = append(append(out, line...), '\n')
		}
		if len(list) > 0 {
			same(t, read(t, out, open), list)
		}
	})
}

func FuzzTar(f *testing.F) {
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		f.Add([]byte(shard(f, format, "a.jpg", "picture", "a.txt", "A\nB\n", "b.json", `{"caption":["C"]}`, "b.png", "")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range read(t, b, WebDataset) {
			picture, err := e.Bytes()
			if err != nil || int64(len(picture)) != e.size {
				t.Errorf("%q: got %d bytes and %v, want %d", e.ID, len(picture), err, e.size)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	for _, s := range []string{twoImages, karpathy, "a.jpg#0\tA\n", "image,caption\na,A\n",
		`{"image":"a","caption":"A"}`, `[{"image":"a","caption":"A"}]`, datatest.Zipped("a,b"), "\ufeff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		read(t, b, func(path string) (Source, error) {
			d, err := Open(path, "")
			if err == nil && (d.Kind == "" || d.Source == nil) {
				t.Errorf("got %+v", d)
			}
			return d.Source, err
		})
	})
}
