package data_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"captioner/data"
)

// TestParquet opens the tables that scripts/fixtures/parquet.py makes.
func TestParquet(t *testing.T) {
	for _, test := range []struct {
		path string
		want []data.Example
		png  bool
	}{
		{"structs.parquet", []data.Example{
			{ID: "red.png", Path: "red.png", Captions: []string{"a red image", "red"}, Archive: "structs.parquet"},
			{ID: "green.png", Path: "green.png", Captions: []string{"a green image"}, Archive: "structs.parquet"},
			{ID: "structs.parquet:3", Path: "structs.parquet:3", Archive: "structs.parquet"},
		}, true},
		{"paths.parquet#train", []data.Example{
			{ID: "a/red.png", Path: "a/red.png", Captions: []string{"a red image", "red"}},
		}, false},
		{"struct*.parquet", []data.Example{
			{ID: "red.png", Path: "red.png", Captions: []string{"a red image", "red"}, Archive: "structs.parquet"},
			{ID: "green.png", Path: "green.png", Captions: []string{"a green image"}, Archive: "structs.parquet"},
			{ID: "structs.parquet:3", Path: "structs.parquet:3", Archive: "structs.parquet"},
		}, true},
	} {
		set, err := data.Open(filepath.Join("parquet/testdata", test.path), "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := data.Collect(set.Source)
		if err != nil || set.Kind != data.KindParquet {
			t.Fatal(set.Kind, err)
		}
		for i, e := range got {
			if test.png {
				if b, err := e.Bytes(); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) || !e.Exists() {
					t.Errorf("%s, example %d: %d bytes, %v", test.path, i, len(b), err)
				}
				got[i].Archive = filepath.Base(e.Archive)
			} else {
				got[i].Path, _ = filepath.Rel("parquet/testdata", e.Path)
			}
		}
		if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(data.Example{})); diff != "" {
			t.Errorf("%s: %s", test.path, diff)
		}
	}
	for path, want := range map[string]string{
		"parquet/testdata/structs.parquet#train": "no column split",
		"parquet/testdata/paths.parquet#none":    "no row of the split",
	} {
		if _, err := data.Open(path, ""); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
