package data

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/datatest"
)

// shard makes a tar of members, each a name and a text.
func shard(t testing.TB, format tar.Format, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		h := &tar.Header{Name: members[i], Mode: 0o644, Size: int64(len(members[i+1])), Format: format, Typeflag: tar.TypeReg}
		if strings.HasSuffix(members[i], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const karpathy = `{"images": [
 {"filepath": "val2014", "sentids": [1, 2], "filename": "COCO_val2014_000000000042.jpg", "imgid": 0, "split": "restval",
  "sentences": [{"tokens": ["a", "dog"], "raw": "A dog.", "imgid": 0, "sentid": 1},
  {"tokens": ["two", "dogs"], "imgid": 0}], "cocoid": 42},
 {"filename": "b.jpg", "imgid": 1, "split": "test", "sentences": [{"raw": " B "}]},
 {"filename": "c.jpg", "imgid": 2, "split": "train", "sentences": []}], "dataset": "coco"}`

// TestOpen opens one data set of each form, all of them found out by content.
func TestOpen(t *testing.T) {
	ab := []Example{{ID: "a.jpg", Path: "a.jpg", Captions: []string{"A dog, running.", "Another"}},
		{ID: "sub/b.png", Path: "sub/b.png", Captions: []string{`The "B"`}}}
	for _, c := range []struct {
		name  string
		files map[string]string
		open  string
		kind  Kind
		want  []Example
	}{
		{"COCO", map[string]string{"x.json": twoImages, "a.jpg": "1"}, "x.json", KindCOCO,
			[]Example{{ID: "7", Path: "b.jpg", Captions: []string{"Two."}}, {ID: "x", Path: "a.jpg",
				Captions: []string{"One.", ""}}, {ID: "9", Path: "c.jpg"}}},
		{"COCO, gzip", map[string]string{"x.json.gz": datatest.Zipped(`{"annotations": [{"image_id": 1, "caption": "A"}], ` +
			`"images": [{"id": 1, "file_name": "a.jpg"}]}`)}, "x.json.gz", KindCOCO,
			[]Example{{ID: "1", Path: "a.jpg", Captions: []string{"A"}}}},
		{"Karpathy, train", map[string]string{"dataset_coco.json": karpathy}, "dataset_coco.json", KindKarpathy,
			[]Example{{ID: "42", Path: "val2014/COCO_val2014_000000000042.jpg", Captions: []string{"A dog.", "two dogs"}},
				{ID: "2", Path: "c.jpg"}}},
		{"Karpathy without numbers", map[string]string{"dataset_own.json": `{"images": [{"filename": "b.jpg", ` +
			`"split": "train", "sentences": [{"raw": "B"}]}]}`}, "dataset_own.json", KindKarpathy,
			[]Example{{ID: "b.jpg", Path: "b.jpg", Captions: []string{"B"}}}},
		{"Karpathy, test", map[string]string{"dataset_coco.json": karpathy}, "dataset_coco.json#test", KindKarpathy,
			[]Example{{ID: "1", Path: "b.jpg", Captions: []string{"B"}}}},
		{"token file", map[string]string{"Flickr8k.token.txt": "a.jpg#0\tA dog, running.\r\nsub/b.png#0\tThe \"B\"\r\n" +
			"\r\na.jpg#1\tAnother .\n"}, "Flickr8k.token.txt", KindTokenFile,
			[]Example{{ID: "a.jpg", Path: "a.jpg", Captions: []string{"A dog, running.", "Another ."}}, ab[1]}},
		{"token file with a list", map[string]string{"t.txt": "a.jpg#0\tA\nb.jpg#0\tB\n",
			"Flickr_8k.devImages.txt": "b.jpg\n"}, "t.txt#Flickr_8k.devImages.txt", KindTokenFile,
			[]Example{{ID: "b.jpg", Path: "b.jpg", Captions: []string{"B"}}}},
		{
			"CSV",
			map[string]string{"c.csv": "\ufeffimage,caption\na.jpg,\"A dog, running.\"\nsub/b.png,\"The \"\"B\"\"\"\n" +
				"a.jpg,Another\n"},
			"c.csv",
			KindTable,
			ab,
		},
		{
			"CSV, semicolons",
			map[string]string{"c.csv": "id;caption;file_name\n1;A dog, running.;a.jpg\n2;\"The \"\"B\"\"\";sub/b.png\n" +
				"3;Another;a.jpg\n"},
			"c.csv",
			KindTable,
			ab,
		},
		{
			"CSV of Excel",
			map[string]string{"c.csv": "sep=;\r\nFile Name;Split;Caption\r\na.jpg;x;A dog, running.\r\n" +
				"sub/b.png;x;\"The \"\"B\"\"\"\r\na.jpg;x;Another\r\n"},
			"c.csv",
			KindTable,
			ab,
		},
		{
			"CSV of a Macintosh",
			map[string]string{"c.csv": "image-name,caption 1\ra.jpg,\"A dog, running.\"\rsub/b.png,\"The \"\"B\"\"\"\r" +
				"a.jpg,Another\r"},
			"c.csv",
			KindTable,
			ab,
		},
		{
			"token file of a Macintosh",
			map[string]string{"c.txt": "a.jpg#0\tA dog, running.\rsub/b.png#0\tThe \"B\"\ra.jpg#1\tAnother"},
			"c.txt",
			KindTokenFile,
			ab,
		},
		{
			"CSV, several captions",
			map[string]string{"c.csv": "caption_1,caption_2,title,filename\n\"A dog, running.\",Another,no,a.jpg\n\"The " +
				"\"\"B\"\"\",,no,sub/b.png\n"},
			"c.csv",
			KindTable,
			ab,
		},
		{
			"CSV, no header",
			map[string]string{"c.csv": "a.jpg,\"A dog, running.\",Another\nsub/b.png,\"The \"\"B\"\"\",\n"},
			"c.csv",
			KindTable,
			ab,
		},
		{
			"CSV, split",
			map[string]string{"c.csv": "image,caption,split\na.jpg,A,train\nb.jpg,B,val\n"},
			"c.csv#val",
			KindTable,
			[]Example{{ID: "b.jpg", Path: "b.jpg", Captions: []string{"B"}}},
		},
		{
			"TSV",
			map[string]string{"c.tsv": "caption\tpath\nA dog, running.\ta.jpg\nThe \"B\"\tsub/b.png\nAnother\ta.jpg\n"},
			"c.tsv",
			KindTable,
			ab,
		},
		{
			"bars",
			map[string]string{"results.csv": "image_name| comment_number| comment\na.jpg| 0| A dog, running.\nsub/b.png| 0| " +
				"The \"B\"\na.jpg| 1| Another\n"},
			"results.csv",
			KindTable,
			ab,
		},
		{
			"JSON lines",
			map[string]string{"c.jsonl": `{"image": "a.jpg", "caption": "A dog, running."}` + "\n\n" + `{"text": "The ` +
				`\"B\"", "file_name": "sub/b.png", "caption": null}` + "\n" + `{"image": "a.jpg", "captions": ["Another"]}`},
			"c.jsonl",
			KindRecords,
			ab,
		},
		{
			"JSON array",
			map[string]string{"c.json": `[{"image": "a.jpg", "caption": ["A dog, running.", "Another"], "image_id": ` +
				`"coco_1"}, {"image": "sub/b.png", "caption": "The \"B\""}]`},
			"c.json",
			KindRecords,
			ab,
		},
		{
			"JSON lines, split",
			map[string]string{"c.jsonl.gz": datatest.Zipped(`{"image":"a","caption":"A","split":"val"}` + "\n" +
				`{"image":"b","caption":"B","split":"train"}`)},
			"c.jsonl.gz#val",
			KindRecords,
			[]Example{{ID: "a", Path: "a", Captions: []string{"A"}}},
		},
		{
			"folder with metadata",
			map[string]string{"d/metadata.jsonl": `{"file_name": "a.jpg", "text": "A"}`, "d/a.jpg": "1"},
			"d",
			KindRecords,
			[]Example{{ID: "a.jpg", Path: "d/a.jpg", Captions: []string{"A"}}},
		},
		{"folder", map[string]string{"d/img10.jpg": "1", "d/img2.JPG": "1", "d/img10.txt": " ten \n\n10\n",
			"d/img2.JPG.caption": "two", "d/sub/x.webp": "1", "d/.hidden/x.jpg": "1", "d/readme.md": "no"}, "d", KindFolder,
			[]Example{{ID: "img2.JPG", Path: "d/img2.JPG", Captions: []string{"two"}}, {ID: "img10.jpg", Path: "d/img10.jpg",
				Captions: []string{"ten", "10"}}, {ID: "sub/x.webp", Path: "d/sub/x.webp"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := datatest.Tree(t, c.files)
			d, err := Open(filepath.Join(root, c.open), "")
			if err != nil {
				t.Fatal(err)
			}
			if d.Kind != c.kind {
				t.Errorf("kind: got %q, want %q", d.Kind, c.kind)
			}
			same(t, collect(t, d.Source, root), c.want)
			same(t, collect(t, d.Source, root), c.want)
			for range d.Source { // a consumer that stops
				break
			}
		})
	}
}

func TestWebDataset(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		second := []string{"d/", "", "d/9.json", `{"caption": " from json "}`, "d/9.jpg", "nine", "d/10.jpg", "ten",
			"d/10.txt", "x\n\ny\n", "d/10.json", `{"caption": "not used"}`, "d/11.cls", "5"}
		if format != tar.FormatUSTAR {
			second = append(second, long+".png", "far", long+".caption", "far away")
		}
		root := datatest.Tree(t, map[string]string{
			"s-10.tar": shard(t, format, second...),
			"s-9.tar":  shard(t, format, "a.jpg", "picture a", "a.txt", "A", "._b.jpg", "no", "b.seg.png", "picture b"),
		})
		want := []Example{{ID: "a", Path: "a.jpg", Archive: "s-9.tar", Captions: []string{"A"}},
			{ID: "d/9", Path: "d/9.jpg", Archive: "s-10.tar", Captions: []string{"from json"}}, {ID: "d/10", Path: "d/10.jpg",
				Archive: "s-10.tar", Captions: []string{"x", "y"}}}
		if format != tar.FormatUSTAR {
			want = append(want, Example{ID: long, Path: long + ".png", Archive: "s-10.tar", Captions: []string{"far away"}})
		}
		for _, pattern := range []string{"s-*.tar", "", "s-{9..10}.tar"} {
			d, err := Open(filepath.Join(root, pattern), "")
			if err != nil {
				t.Fatal(err)
			}
			if d.Kind != KindWebDataset {
				t.Errorf("kind: got %q", d.Kind)
			}
			list, err := Collect(d.Source)
			if err != nil {
				t.Fatal(err)
			}
			var pictures []string
			for i := range list {
				b, err := list[i].Bytes()
				if err != nil {
					t.Fatal(err)
				}
				pictures = append(pictures, string(b))
				list[i].Archive = filepath.Base(list[i].Archive)
			}
			same(t, list, want)
			if got, want := pictures, []string{"picture a", "nine", "ten", "far"}[:len(want)]; !slices.Equal(got, want) {
				t.Errorf("pictures: got %q, want %q", got, want)
			}
		}
	}
}

func TestWebDatasetErrors(t *testing.T) {
	whole := shard(t, tar.FormatUSTAR, "a.jpg", strings.Repeat("x", 2000), "a.txt", "A", "b.jpg", "B")
	for _, c := range []struct {
		name, text, want string
		examples         int
	}{
		{"cut off within a picture", whole[:1000], `member "a.jpg": found 488 bytes to the end of the archive, want 2000`, 0},
		{"cut off within a header", whole[:2600], "unexpected EOF", 1},
		{
			"two pictures",
			shard(t, tar.FormatUSTAR, "a.jpg", "1", "a.png", "2"),
			`member "a.png": found a second image of "a"`,
			1,
		},
		{"gzip that is cut off", datatest.Zipped(whole)[:60], "unpack gzip: the file ends too early", 0},
		{"JSON", shard(t, tar.FormatUSTAR, "a.jpg", "1", "a.json", "{"), `member "a.json": unexpected end`, 1},
		{
			"long text",
			shard(t, tar.FormatUSTAR, "a.jpg", "1", "a.txt", strings.Repeat("x", maxCaptionFile+1)),
			"want captions of 1048576 at most",
			1,
		},
	} {
		s, err := WebDataset(write(t, "s.tar", c.text))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var first error
		for _, err := range s {
			if err == nil {
				n++
			} else if first == nil {
				first = err
			}
		}
		var record *RecordError
		if !errors.As(first, &record) || !strings.Contains(first.Error(), c.want) || n != c.examples {
			t.Errorf("%s: got %d examples and %v, want %d and %q", c.name, n, first, c.examples, c.want)
		}
	}
	for pattern, want := range map[string]string{"none-*.tar": "not exist", "x{5..3}.tar": "want it ascending",
		"x{0..999999999}.tar": "below"} {
		if _, err := WebDataset(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", pattern, err, want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, c := range []struct{ name, text, open, want string }{
		{"empty", "", "f", "the file is empty"},
		{"prose", "This is a text.\nIt has no columns.\n", "f", "the format is not known: as a table: found the columns"},
		{"token line", "a.jpg#0\tA\nb.jpg B\n", "f", `line 2: found "b.jpg B", want name#number, a tab and a caption`},
		{"row too short", "image,caption\na.jpg,A\nb.jpg\n", "f", "line 3: found 1 field, want 2"},
		{"row too long", "image,caption\na.jpg,\"A\nB\"\nb.jpg,x,y\n", "f", "line 4: found 3 fields, want 2"},
		{"row too short below a separator", "sep=,\nimage,caption\na.jpg,A\nb.jpg\n", "f", "line 4: found 1 field, want 2"},
		{"quote", "image,caption\na.jpg,A \"dog\"\n", "f", `line 2: bare "`},
		{"open quote", "image,caption\na.jpg,A\nb.jpg,\"x\n\n\n", "f", "line 3: extraneous or missing"},
		{"no path", "image,caption\n,A\n", "f", "line 2: no path of an image"},
		{
			"web",
			"caption\timage\nA\thttps://example.org/a.jpg\n",
			"f",
			"line 2: the image is \"https://example.org/a.jpg\" on the web",
		},
		{"no split column", "image,caption\na.jpg,A\n", "f#val", "line 1: no column split"},
		{"no such split", "image,caption,split\na.jpg,A,train\n", "f#val", `no row of the split "val"`},
		{"JSON line", `{"image": "a", "caption": "A"}` + "\n{\n", "f", "line 2: unexpected end"},
		{
			"record without path",
			`{"caption": "A"}`,
			"f",
			"line 1: no path of an image, want a string named one of path, image",
		},
		{"a map with a null", `{"a.jpg": ["A", null]}`, "f", `image "a.jpg": caption 2 is null, want a string`},
		{"a map with a number", `{"1": ["A"], "2": [{"caption": 7}]}`, "f", `image "2": caption 1 is an object`},
		{"a map with a number among captions", `{"a.jpg": ["A", 7]}`, "f", "caption 2 is the number 7, want a string"},
		{"a null", `[{"image": "a", "caption": null}]`, "f", "record 1: caption is null, want a string"},
		{
			"record without caption",
			`[{"image": "a", "caption": "A"}, {"image": "b", "caption": 3}]`,
			"f",
			"record 2: caption is the number 3, want a string",
		},
		{"array cut off", `[{"image": "a", "caption": "A"},`, "f", "record 2: the file ends here"},
		{
			"Karpathy",
			`{"images": [{"sentences": [{}], "imgid": 1, "filename": "a"}]}`,
			"f",
			"image 1: sentence 1 has no raw text and no tokens",
		},
		{"Karpathy split", karpathy, "f#dev", `no split "dev", found train, test`},
		{"COCO has no splits", twoImages, "f#val", "which has no splits"},
		{"broken gzip", datatest.Zipped("image,caption\na.jpg,A\n")[:20], "f", "unpack gzip: the file ends too early"},
	} {
		root := datatest.Tree(t, map[string]string{"f": c.text})
		_, err := Open(filepath.Join(root, c.open), "")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Open("absent#val", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: got %v", err)
	}
	if _, err := Open(t.TempDir(), "images"); err == nil {
		t.Error("a folder with images elsewhere: got no error")
	}
}

func TestLines(t *testing.T) {
	for name, text := range map[string]string{
		"plain": "one\r\n\n two \nthree", "gzip": datatest.Zipped("one\n\n\ntwo\nthree\n"),
	} {
		var got []string
		for s, err := range Lines(write(t, "l", text)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
		}
		if want := []string{"one", "two", "three"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, err := range Lines(write(t, "l", datatest.Zipped(strings.Repeat("one\n", 10_000))[:60])) {
		if err != nil {
			return
		}
	}
	t.Error("broken gzip: got no error")
}

func TestSharedLines(t *testing.T) {
	n := 0
	for s, err := range Lines(shared(t, "text/flickr30k_captions.txt.gz")) {
		if err != nil || s == "" {
			t.Fatal(s, err)
		}
		n++
	}
	if n != 110_422 {
		t.Errorf("got %d lines, want 110422", n)
	}
}

func TestNaturalOrder(t *testing.T) {
	want := []string{"", "1", "2", "02", "10", "10a", "a", "a1", "a1b2", "a1b10", "a01b11", "a2", "a10",
		"a99999999999999999999", "a100000000000000000000", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, naturalCompare)
	// 02 and 2 are the same number: the bytes decide
	want[2], want[3] = "02", "2"
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSplit(t *testing.T) {
	var list []Example
	for n := range 10_000 {
		list = append(list, Example{ID: fmt.Sprint(n)})
	}
	ids := func(s Source) (ids []string) {
		for e := range s {
			ids = append(ids, e.ID)
		}
		return ids
	}
	train, val := Split(FromList(list), 0.1, 1)
	if n := len(ids(val)); n < 900 || n > 1100 || n+len(ids(train)) != len(list) {
		t.Errorf("got %d of 10000 in val and %d in train, want about 1000 and the rest", n, len(ids(train)))
	}
	slices.Reverse(list)
	_, again := Split(FromList(list[:5000]), 0.1, 1)
	inVal := ids(val)
	for _, id := range ids(again) {
		if !slices.Contains(inVal, id) {
			t.Errorf("%s went elsewhere when the order changed", id)
		}
	}
	if _, other := Split(FromList(list), 0.1, 2); slices.Equal(ids(other), ids(val)) {
		t.Error("another seed gave the same split")
	}
	for fraction, want := range map[float64]int{0: 0, 1: 10_000} {
		if _, val := Split(FromList(list), fraction, 1); len(ids(val)) != want {
			t.Errorf("fraction %v: got %d, want %d", fraction, len(ids(val)), want)
		}
	}
}

func TestCheck(t *testing.T) {
	root := datatest.Tree(t, map[string]string{"train/a.jpg": "A", "train/b.jpg": "B", "train/empty.jpg": "",
		"val/a.jpg": "A",
		"val/b.jpg": "other", "s.tar": shard(t, tar.FormatUSTAR, "b.jpg", "B", "b.txt", "B")})
	in := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	train := []Example{
		{ID: "1", Path: in("train/a.jpg"), Captions: []string{"A"}},
		{ID: "2", Path: in("train/b.jpg"), Captions: []string{"B", " "}},
		{ID: "1", Path: in("train/empty.jpg"), Captions: []string{"C"}},
		{ID: "4", Path: in("train/none.jpg")},
	}
	val := []Example{
		{ID: "1", Path: in("val/a.jpg"), Captions: []string{"same content"}},
		{ID: "2", Path: in("val/b.jpg"), Captions: []string{"same name only"}},
		{ID: "3", Path: in("val/../train/b.jpg"), Captions: []string{"same file"}},
	}
	fromTar, err := WebDataset(in("s.tar"))
	if err != nil {
		t.Fatal(err)
	}
	failing := func(yield func(Example, error) bool) {
		for _, e := range val {
			if !yield(e, nil) {
				return
			}
		}
		if yield(Example{}, errors.New("broken")) {
			fromTar(yield)
		}
	}
	r := Check(FromList(train), failing)
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"missing", r.MissingImages, []string{"train 1: " + in("train/empty.jpg"), "train 4: " + in("train/none.jpg")}},
		{"no captions", r.NoCaptions, []string{"train 4"}},
		{"empty captions", r.EmptyCaptions, []string{"train 2"}},
		{"duplicates", r.DuplicateIDs, []string{"train 1"}},
		{
			"overlap",
			r.Overlap,
			[]string{"val 1: " + in("val/a.jpg") + " is " + in("train/a.jpg"), "val 3: " + in("train/b.jpg"),
				"val b: " + in("s.tar") + ":b.jpg is " + in("train/b.jpg")},
		},
	} {
		for i := range c.got {
			c.got[i] = strings.ReplaceAll(c.got[i], in("val/../train"), in("train"))
		}
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	if len(r.Unread) != 1 || r.Train != (Counts{4, 4}) || r.Val != (Counts{4, 4}) {
		t.Errorf("got %d errors, %+v, %+v", len(r.Unread), r.Train, r.Val)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "2 missing images (first: ") ||
		!strings.Contains(err.Error(), "3 images both in train and val") {
		t.Errorf("Err: got %v", err)
	}
	if err := Check(FromList(train[:1]), nil).Err(); err != nil {
		t.Errorf("nothing wrong: got %v", err)
	}
	if err := Check(FromList(nil), nil).Err(); err == nil {
		t.Error("no examples: got no error")
	}
}

func TestCheckShared(t *testing.T) {
	train, err := Open(shared(t, "flickr8k/captions_train.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	val, err := Open(shared(t, "flickr8k/captions_dev.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	r := Check(train.Source, val.Source)
	if err := r.Err(); err != nil || r.Train.Examples != 6000 || r.Val.Examples != 1000 {
		t.Errorf("got %+v, %+v, %v", r.Train, r.Val, err)
	}
}

// Captions by the path of their image, as an object or as pycocoevalcap writes them, and captions that are none.
func TestCaptionsByPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.jpg", "b.jpg"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	coco := `{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": %s}]}`
	for _, c := range []struct{ name, text, want, err string }{
		{name: "strings", text: `{"a.jpg": ["one", "two"], "b.jpg": "three"}`, want: "a.jpg: [one two]; b.jpg: [three]"},
		{name: "lines", text: "{\n  \"a.jpg\": [\"one\"],\n  \"b.jpg\": [\"two\"]\n}\n", want: "a.jpg: [one]; b.jpg: [two]"},
		{name: "objects", text: `{"a.jpg": [{"caption": "one"}, {"caption": "two"}]}`, want: "a.jpg: [one two]"},
		{name: "null", text: fmt.Sprintf(coco, "null"), want: "1: []"},
		{name: "a number", text: fmt.Sprintf(coco, "12"), err: "annotation 1: the caption is 12, want a string"},
		{name: "a record without a path", text: `{"caption": "one"}`, err: "no path of an image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(dir, c.name+".json")
			if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
				t.Fatal(err)
			}
			d, err := Open(path, "")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got error %v, want one with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			list, err := Collect(d.Source)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list {
				got = append(got, fmt.Sprintf("%s: %v", e.ID, e.Captions))
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}
