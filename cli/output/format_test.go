package output

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/cli/input"
	"captioner/models/captioner"
)

func TestImageID(t *testing.T) {
	for path, want := range map[string]any{"a/COCO_val2014_000000391895.jpg": int64(391895),
		"000000000139.jpg": int64(139), "x/dog.jpg": "dog", "7": int64(7)} {
		if got := imageID(path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestFormatsRoundTripOddNames(t *testing.T) {
	r := &Result{Input: input.Input{Path: "a,\"b\"\n\t\\c.jpg"}, Caption: captioner.Caption{Text: "x, \"y\""}}
	var got bytes.Buffer
	for _, name := range Formats[:5] { // the sixth holds images
		f := NewFormat(name, Style{Model: "m"})
		if err := errors.Join(f.Begin(&got), f.Write(&got, r), f.End(&got)); err != nil {
			t.Fatal(err)
		}
	}
	want := "a,\"b\"\\n\\t\\\\c.jpg\tx, \"y\"\n" +
		`{"path":"a,\"b\"\n\t\\c.jpg","caption":"x, \"y\"","logprob":0,"confidence":0,"model":"m"}` + "\n" +
		"path,caption,logprob,confidence\n\"a,\"\"b\"\"\n\t\\c.jpg\",\"x, \"\"y\"\"\",0,0\n" +
		"path\tcaption\tlogprob\tconfidence\na,\"b\"\\n\\t\\\\c.jpg\tx, \"y\"\t0\t0\n" +
		"[\n" + `{"image_id":"a,\"b\"\n\t\\c","caption":"x, \"y\""}` + "\n]\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
