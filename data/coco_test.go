package data

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// collect reads all examples and takes the folder away from their paths.
func collect(t testing.TB, s Source, folder string) []Example {
	t.Helper()
	list, err := Collect(s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if rel, err := filepath.Rel(folder, list[i].Path); err == nil {
			list[i].Path = filepath.ToSlash(rel)
		}
	}
	return list
}

// same compares examples by what is exported.
func same(t testing.TB, got, want []Example) {
	t.Helper()
	bare := cmp.Transformer("bare", func(e Example) any {
		return struct {
			ID, Path, Archive string
			Captions          []string
		}{e.ID, e.Path, e.Archive, e.Captions}
	})
	if d := cmp.Diff(want, got, bare); d != "" {
		t.Errorf("examples differ (-want +got):\n%s", d)
	}
}

// shared returns the path of a file of the shared data, and skips the test where it is absent.
func shared(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("CAPTIONER_SHARED")
	if root == "" {
		root = "../../shared/data"
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s: set CAPTIONER_SHARED to the folder that has %s", path, name)
	}
	return path
}

const twoImages = `{"info": {"year": 2017}, "images": [
 {"id": 7, "file_name": "b.jpg", "width": 3}, {"id": "x", "file_name": "a.jpg"}, {"id": 9, "file_name": "c.jpg"}],
 "licenses": [1, {"a": [2]}], "annotations": [{"image_id": "x", "id": 1, "caption": "One."},
 {"image_id": 7, "id": 2, "caption": " Two.\n"}, {"image_id": "x", "id": 3, "caption": ""}]}`

func TestCOCO(t *testing.T) {
	path := write(t, "captions_train2017.json", twoImages)
	s, err := COCO(path, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{{ID: "7", Path: "b.jpg", Captions: []string{"Two."}}, {ID: "x", Path: "a.jpg",
		Captions: []string{"One.", ""}}, {ID: "9", Path: "c.jpg"}}
	same(t, collect(t, s, "pictures"), want)
	same(t, collect(t, s, "pictures"), want) // a second round
}

func TestCOCOFindsImages(t *testing.T) {
	for _, c := range []struct{ annotations, picture string }{
		{"captions_train2017.json", "a.jpg"},
		{"captions_train2017.json", "train2017/a.jpg"},
		{"annotations/captions_train2017.json", "train2017/a.jpg"},
		{"annotations/captions_train2017.json", "images/train2017/a.jpg"},
		{"annotations/captions_val2014.json", "val2014/a.jpg"},
		{"captions_dev.json", "dev/a.jpg"},
		{"my.json", "images/a.jpg"},
		{"annotations/my.json", "images/a.jpg"},
	} {
		root := t.TempDir()
		for name, text := range map[string]string{c.annotations: twoImages, c.picture: "not read"} {
			path := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		s, err := COCO(filepath.Join(root, filepath.FromSlash(c.annotations)), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := collect(t, s, root)[1].Path; got != c.picture {
			t.Errorf("%s with the picture %s: got %s", c.annotations, c.picture, got)
		}
	}
}

func TestCOCOErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "byte 0: the file ends here"},
		{`[]`, "found [, want an object"},
		{`{"images": []}`, `no "annotations"`},
		{`{"images": 3, "annotations": []}`, "want an array of images"},
		{`{"images": [{"id": 1, "file_name": "a"}, {"id": 2}], "annotations": []}`, "image 2: no file_name"},
		{`{"images": [{"file_name": "a"}], "annotations": []}`, "image 1: no id"},
		{`{"images": [{"id": [1], "file_name": "a"}], "annotations": []}`, "image 1: id [1], want a number or a string"},
		{
			`{"images": [], "annotations": [{"image_id": 3, "caption": "x"}, {"image_id": 4, "caption": "x"}]}`,
			"annotation 1: image_id 3 is not among the images, and 1 more are not",
		},
		{`{"images": [], "annotations": [{"image_id": 3, "bbox": []}]}`, "annotation 1: no caption"},
		{`{"images": [], "annotations": [{"caption": "x"}]}`, "annotation 1: no image_id"},
		{`{"images": [], "annotations": [{"image_id": 3, "cap`, "annotation 1: the file ends here"},
		{`{"images": [{"id": 1, "file_name": "a"}`, "image 1: after it: the file ends here"},
	} {
		_, err := COCO(write(t, "c.json", c.text), "")
		var record *RecordError
		if !errors.As(err, &record) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a RecordError with %q", c.text, err, c.want)
		}
	}
	if _, err := COCO("absent.json", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: got %v", err)
	}
}

// TestSharedCOCO reads the real files and finds every image.
func TestSharedCOCO(t *testing.T) {
	for _, c := range []struct {
		name             string
		images, captions int
	}{
		{"flickr8k/captions_train.json", 6000, 30000},
		{"flickr8k/captions_dev.json", 1000, 5000},
		{"coco-mini/captions_train2017.json", 26, 0},
		{"coco-mini/captions_val2017.json", 50, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := COCO(shared(t, c.name), "")
			if err != nil {
				t.Fatal(err)
			}
			images, captions := 0, 0
			for e, err := range s {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(e.Path); err != nil {
					t.Error(err)
				}
				images++
				captions += len(e.Captions)
			}
			if images != c.images || c.captions > 0 && captions != c.captions {
				t.Errorf("got %d images, %d captions, want %d, %d", images, captions, c.images, c.captions)
			}
		})
	}
}
