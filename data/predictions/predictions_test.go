package predictions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/data"
	"captioner/data/datatest"
	"captioner/data/record"
	"captioner/data/text"
)

// TestReadPredictions reads one file of each form, all of them found out by content.
func TestRead(t *testing.T) {
	byID := []Prediction{{ID: "7", Caption: "A dog."}, {ID: "x", Caption: ""}}
	byPath := []Prediction{{ID: "d/a.jpg", Path: "d/a.jpg", Caption: "A dog."}, {ID: "b.jpg", Path: "b.jpg",
		Caption: "two, or more"}}
	for _, c := range []struct {
		name, text string
		kind       data.Kind
		want       []Prediction
	}{
		{"results", `[{"image_id": 7, "caption": " A dog. "}, {"caption": "", "image_id": "x"}]`, KindResults, byID},
		{
			"results as lines",
			`{"image_id": 7, "caption": "A dog."}` + "\r\n\n" + `{"image_id": "x", "caption": [""]}`,
			data.KindRecords,
			byID,
		},
		{"own lines", `{"path":"d/a.jpg","caption":"A dog.","logprob":-1,"model":"m","captions":[{"caption":"A dog."}]}` +
			"\n" +
			`{"path":"b.jpg","error":"the file ends early","hint":"copy it"}` + "\n", data.KindRecords,
			[]Prediction{byPath[0], {ID: "b.jpg", Path: "b.jpg", Failed: "the file ends early"}}},
		{
			"bytes of a path",
			`{"path":"?.jpg","path_bytes":"/y5qcGc=","caption":"A dog."}`,
			data.KindRecords,
			[]Prediction{{ID: "\xff.jpg", Path: "\xff.jpg", Caption: "A dog."}},
		},
		{
			"id and path",
			`{"id": 99, "image_id": 7, "path": "a.jpg", "caption": "A dog."}`,
			data.KindRecords,
			[]Prediction{{ID: "7", Path: "a.jpg", Caption: "A dog."}},
		},
		{"id alone", `[{"id": 7, "caption": "A dog."}]`, KindResults, byID[:1]},
		{"by image", `{"7": "A dog.", "x": [""]}`, KindObject, byID},
		{
			"by image, twice",
			`{"7": "A dog.", "7": "Another"}`,
			KindObject,
			[]Prediction{byID[0], {ID: "7", Caption: "Another"}},
		},
		{
			"own CSV",
			"path,caption,logprob,confidence\nd/a.jpg,A dog.,-1,0.5\nb.jpg,\"two, or more\",-1,0.5\n",
			data.KindTable,
			byPath,
		},
		{
			"own TSV",
			"path\tcaption\tlogprob\tconfidence\nd/a.jpg\tA dog.\t-1\t0.5\nb.jpg\ttwo, or more\t-1\t0.5\n",
			data.KindTable,
			byPath,
		},
		{"own text", "d/a.jpg\tA dog.\nb.jpg\ttwo, or more\n", data.KindTable, byPath},
		{"CSV of ids", "image_id,caption\n7,A dog.\nx,\n", data.KindTable, byID},
		{
			"lines",
			"\ufeffa dog, two dogs\r\n\r\n[unk] a \"dog\"\n",
			KindLines,
			[]Prediction{{ID: "1", Caption: "a dog, two dogs"}, {ID: "2"}, {ID: "3", Caption: `[unk] a "dog"`}},
		},
		{"lines that look like JSON", "[a dog]\n", KindLines, []Prediction{{ID: "1", Caption: "[a dog]"}}},
		{"gzip", datatest.Zipped("a dog"), KindLines, []Prediction{{ID: "1", Caption: "a dog"}}},
		{"nothing", "[]", KindResults, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(datatest.Tree(t, map[string]string{"f": c.text}), "f")
			got, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.List); diff != "" || got.Kind != c.kind || got.File != path {
				t.Errorf("got %q %q, want %q; -want +got:\n%s", got.Kind, got.File, c.kind, diff)
			}
		})
	}
}

func TestReadPredictionsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "the file is empty, want captions",
		" \n":                                  "the file is empty, want captions",
		"a\x00b":                               "found a NUL byte, want text",
		"\xff\xfe[\x00":                        "after it: the file ends here, want more JSON",
		`[{"image_id": 7}]`:                    "record 1: no caption, want a string or an array of strings",
		`[{"caption": "x"}]`:                   "record 1: no image, want its id or path",
		`[{"image_id": 7, "caption": "x"}`:     "after it: the file ends here, want more JSON",
		`[{"image_id": 7, "caption": "x"}] 1`:  `found "1" behind the end, want nothing more`,
		`{"path": "a.jpg"}`:                    "record 1: no caption",
		`{"path": "a.jpg", "caption": "x"} {"`: "record 2: the file ends here, want more JSON",
		`{"images": [], "annotations": {}}`:    "record 1: no image",
		"image_id,caption\n":                   "found names of columns and no row below them",
		"image_id,caption\n7,a,b\n":            "line 2: found 3 fields, want 2",
		"image_id,caption\n,a\n":               "line 2: no id and no path of an image",
		"image_id,caption\n7,\"a\n":            "line 2: ",
	} {
		path := filepath.Join(datatest.Tree(t, map[string]string{"f": text}), "f")
		_, err := Read(path)
		var broken *record.Error
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &broken) {
			t.Errorf("%q: got %v, want a RecordError with %q", text, err, want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that there is no such file", err)
	}
}

func TestReadReferences(t *testing.T) {
	root := datatest.Tree(t, map[string]string{
		"a.txt": "a dog\na cat\n", "b.txt": "the dog\n\n", "c.txt": "one line",
		"refs.json": `{"image1": ["a", "b"], "image2": ["c"]}`, "ids.csv": "image_id,caption\n7,a\n8,c\n7,b\n",
		"ids.jsonl": `{"image_id": 7, "path": "p/7.jpg", "references": ["a", "b"]}` + "\n" +
			`{"image_id": 8, "path": "p/8.jpg", "references": ["c"]}`,
		"p/7.jpg": "1", "coco.json": twoImages, "paths.csv": "path,caption\np/7.jpg,a\n",
		"tokens.txt":   "7.jpg#0\ta\n7.jpg#1\tb\n",
		"failed.jsonl": `{"image_id": 7, "error": "no"}`,
	})
	for _, c := range []struct {
		files string
		kind  data.Kind
		want  string // id: captions
	}{
		{"a.txt", KindLines, "1: [a dog]; 2: [a cat]"},
		{"a.txt b.txt", KindLines, "1: [a dog the dog]; 2: [a cat ]"},
		{"refs.json", KindObject, "image1: [a b]; image2: [c]"},
		{"ids.csv", data.KindTable, "7: [a b]; 8: [c]"},
		{"ids.jsonl", data.KindRecords, "7 p/7.jpg: [a b]; 8 p/8.jpg: [c]"},
		{"coco.json", data.KindCOCO, "7 b.jpg: [Two.]; x a.jpg: [One. ]; 9 c.jpg: []"},
		{"paths.csv", data.KindTable, "p/7.jpg p/7.jpg: [a]"},
		{"tokens.txt", data.KindTokenFile, "7.jpg 7.jpg: [a b]"},
		{"p", data.KindFolder, "7.jpg p/7.jpg: []"},
		{"a.txt c.txt", "", `c.txt" has 1 line and`},
		{"a.txt refs.json", "", "is no text with a caption a line"},
		{"failed.jsonl", "", `the record of "7" says "no" in the place of references`},
		{"missing.json", "", "no such file"},
	} {
		paths := strings.Fields(c.files)
		for i := range paths {
			paths[i] = filepath.Join(root, paths[i])
		}
		set, err := ReadReferences("", paths...)
		if c.kind == "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %s", c.files, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.files, err)
			continue
		}
		var got []string
		for e, err := range set.Source {
			if err != nil {
				t.Fatal(err)
			}
			name := e.ID
			if e.Path != "" {
				rel, err := filepath.Rel(root, e.Path)
				if err != nil {
					t.Fatal(err)
				}
				name += " " + filepath.ToSlash(rel)
			}
			got = append(got, fmt.Sprintf("%s: %v", name, e.Captions))
		}
		if set.Kind != c.kind || strings.Join(got, "; ") != c.want {
			t.Errorf("%s: got %q %s, want %q %s", c.files, set.Kind, strings.Join(got, "; "), c.kind, c.want)
		}
	}
}

func TestMatch(t *testing.T) {
	refs := []data.Example{
		{ID: "42", Path: "/d/val2014/COCO_val2014_000000000042.jpg", Captions: []string{"a"}},
		{ID: "x.jpg", Path: "/d/x.jpg", Captions: []string{"b", " "}},
		{ID: "sub/y.jpg", Path: "/d/sub/y.jpg", Captions: []string{"c"}},
		{ID: "other/y.jpg", Path: "/d/other/y.jpg", Captions: []string{"d"}},
		{ID: "none.jpg", Path: "/d/none.jpg"},
		{ID: "blank.jpg", Path: "/d/blank.jpg", Captions: []string{""}},
		{ID: "x.jpg", Path: "/d/x.jpg", Captions: []string{"e"}},
		{ID: "bad.jpg", Path: "/d/bad.jpg", Captions: []string{"f"}},
	}
	p := &Set{Kind: data.KindRecords, List: []Prediction{
		{ID: "x.jpg", Caption: ""}, {ID: "42", Caption: "A"}, {ID: "y.jpg", Caption: "which?"},
		{ID: "sub/y.jpg", Caption: "C"}, {ID: "42", Caption: "again"},
		{ID: "none.jpg", Caption: "n"}, {ID: "bad.jpg", Failed: "no"},
	}}
	got, err := p.Match(data.KindCOCO, refs)
	if err != nil {
		t.Fatal(err)
	}
	want := &Match{
		Pairs: []Pair{{refs[0], 0, "A"}, {refs[1], 1, ""}, {refs[2], 2, "C"}},
		Missing: []string{
			"other/y.jpg",
		}, Failed: []string{"bad.jpg"}, Extra: []string{"y.jpg"}, Repeated: []string{"42"}, Empty: []string{"x.jpg"},
		Unreferenced: []string{"none.jpg",
			"blank.jpg"}, EmptyReferences: []string{"x.jpg"}, RepeatedExamples: []string{"x.jpg"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(data.Example{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMatchNames puts one prediction to one of three examples by each name that may stand for it.
func TestMatchNames(t *testing.T) {
	refs := []data.Example{
		{ID: "391895", Path: "/d/COCO_val2014_000000391895.jpg", Captions: []string{"a"}},
		{ID: "s/b c.jpg", Path: "/d/s/b c.jpg", Captions: []string{"b"}},
		{ID: "3", Path: "/d/577c_70.jpg", Captions: []string{"c"}},
	}
	for id, want := range map[string]int{
		"391895": 0, "/d/COCO_val2014_000000391895.jpg": 0, "elsewhere/COCO_val2014_000000391895.jpg": 0,
		"000000391895.png": 0, "391895.jpg": 0,
		"s/b c.jpg": 1, "b c.jpg": 1, "b c": 1, `s\x2fb\x20c.jpg`: 1, "./s/b c.jpg": 1, "b d": -1,
		"3": 2, "577c_70": 2, "70": -1, "577c_70.webp": 2, "x/3.jpg": 2, "": -1, `\`: -1,
	} {
		m, err := (&Set{List: []Prediction{{ID: id}}}).Match(data.KindCOCO, refs)
		got := -1
		if err == nil {
			got = m.Pairs[0].Index
		}
		if got != want {
			t.Errorf("%q: got example %d, want %d", id, got, want)
		}
	}
}

func TestMatchRefuses(t *testing.T) {
	refs := []data.Example{{ID: "1", Captions: []string{"a"}}, {ID: "2"}}
	lines := &Set{File: "hyp.txt", Kind: KindLines, List: []Prediction{{ID: "1", Caption: "a"}}}
	for _, c := range []struct {
		p    *Set
		kind data.Kind
		refs []data.Example
		want string
	}{
		{lines, KindLines, refs, `"hyp.txt" has 1 line and the references have 2, want as many`},
		{
			lines,
			data.KindCOCO,
			refs,
			"the predictions are text, a caption a line and the references name their images, want both of the same sort",
		},
		{
			&Set{Kind: data.KindTable},
			KindLines,
			refs,
			"the references are text, a caption a line and the predictions name their images, want both of the same sort",
		},
		{&Set{List: []Prediction{{ID: "9"}, {ID: "2"}}}, data.KindCOCO, refs,
			`none of the 2 predictions (the first is of "9") is of an image with references (1 image, the first is "1")`},
		{
			&Set{List: []Prediction{{ID: "2"}}},
			data.KindCOCO,
			refs[1:],
			"no image has a reference, want some to score against",
		},
	} {
		if _, err := c.p.Match(c.kind, c.refs); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// FuzzPredictions checks what holds for any bytes: errors are RecordErrors, captions are no longer than the bytes, and
// the results form of what was read is read as the same.
func FuzzPredictions(f *testing.F) {
	for _, s := range []string{
		`[{"image_id": 7, "caption": "a"}]`,
		`{"path":"a.jpg","caption":"x"}` + "\n" + `{"path":"b","error":"e"}`,
		`{"1": "a", "2": ["b"]}`,
		"path\tcaption\na.jpg\tx\n",
		"image_id;caption\n1;\"a\nb\"\n",
		"a dog\n\n",
		"a.jpg,x\n",
		`{"path_bytes":"/w==","caption":"x"}`,
		`[{"id":1e400,"caption":"\ud800"}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, list, err := parseCaptions("f", b)
		var broken *record.Error
		if err != nil {
			if !errors.As(err, &broken) {
				t.Errorf("error of type %T: %v", err, err)
			}
			return
		}
		length := 0
		for _, r := range list {
			for _, c := range r.captions {
				length += len(c)
			}
			if r.id == "" && r.path == "" {
				t.Errorf("a %s without id and path", kind)
			}
		}
		if length > 3*len(b) { // a byte that is not UTF-8 becomes three
			t.Errorf("%d bytes of captions of %d bytes", length, len(b))
		}
		if len(list) > len(b)+1 {
			t.Errorf("%d records of %d bytes", len(list), len(b))
		}
	})
}

// FuzzMatch checks that every prediction and every example ends up somewhere, whatever their names are.
func FuzzMatch(f *testing.F) {
	f.Add("42\nCOCO_val2014_000000000042.jpg", "a/b.jpg\n42\n\n42")
	f.Add(`a\tb`+"\n.", "a\tb\n..\n/")
	f.Fuzz(func(t *testing.T, predictions, references string) {
		p := &Set{Kind: data.KindRecords}
		for s := range strings.Lines(predictions) {
			p.List = append(p.List, Prediction{ID: s, Path: s, Caption: "x"})
		}
		var refs []data.Example
		for i, s := range strings.Split(references, "\n") {
			refs = append(refs, data.Example{ID: s, Path: s, Captions: []string{"x", ""}[:1+i%2]})
		}
		m, err := p.Match(data.KindCOCO, refs)
		if err != nil {
			return
		}
		if n := len(m.Pairs) + len(m.Missing) + len(m.RepeatedExamples); n != len(refs) {
			t.Errorf("%d of %d examples are accounted for", n, len(refs))
		}
		if n := len(m.Pairs) + len(m.Extra) + len(m.Repeated); n != len(p.List) {
			t.Errorf("%d of %d predictions are accounted for", n, len(p.List))
		}
		if !slices.IsSortedFunc(m.Pairs, func(a, b Pair) int { return a.Index - b.Index }) {
			t.Error("pairs are not in the order of the examples")
		}
	})
}

func TestForeignText(t *testing.T) {
	for name, content := range map[string]string{
		"Latin-1": "a.jpg\tun caf\xe9\n",
		"UTF-16":  "\xff\xfea\x00.\x00j\x00p\x00g\x00\t\x00u\x00n\x00 \x00c\x00a\x00f\x00\xe9\x00\r\x00\n\x00",
	} {
		p, err := Read(filepath.Join(datatest.Tree(t, map[string]string{"p": content}), "p"))
		if err != nil || len(p.List) != 1 || p.List[0].Caption != "un café" || len(p.Notes.Lines()) != 1 {
			t.Errorf("%s: got %+v, %v, want one caption and a note", name, p, err)
		}
	}
	photo := "\xff\xd8\xff\xe0\x00\x10JFIF\x00"
	var binary *text.BinaryError
	if _, err := Read(filepath.Join(datatest.Tree(t, map[string]string{"p": photo}), "p")); !errors.As(err, &binary) {
		t.Errorf("an image: got %v, want a BinaryError", err)
	}
}

// twoImages is a small file of COCO.
const twoImages = `{"images": [{"id": 7, "file_name": "b.jpg"}, {"id": "x", "file_name": "a.jpg"},
 {"id": 9, "file_name": "c.jpg"}], "annotations": [{"image_id": "x", "id": 1, "caption": "One."},
 {"image_id": 7, "id": 2, "caption": " Two.\n"}, {"image_id": "x", "id": 3, "caption": ""}]}`
