package captioner

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/models/encoder"
)

// lavisFile unpacks the captioner of scripts/fixtures/lavis.py.
func lavisFile(t *testing.T) string {
	t.Helper()
	f, err := os.Open("testdata/lavis/lavis.pth.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model_base_caption_capfilt_large.pth")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// openLAVIS opens it with the heads that no such file says.
func openLAVIS(t *testing.T, path string, heads *encoder.Heads) *Captioner {
	t.Helper()
	known := checkpoint.Known()
	known.Heads = heads
	c, err := Open(path, Options{Architectures: &known})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A file of LAVIS captions as LAVIS's generate does by default, also as captioner's own file.
func TestLAVISCaptions(t *testing.T) {
	path := lavisFile(t)
	own := filepath.Join(t.TempDir(), "own.safetensors")
	c := openLAVIS(t, path, &encoder.Heads{Of: map[encoder.Part]int64{encoder.EncoderPart: 2, encoder.DecoderPart: 3}})
	err := c.File.Export(context.Background(), own, checkpoint.FormCaptioner, checkpoint.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Captioner{"LAVIS's file": c, "captioner's file": openLAVIS(t, own, nil)} {
		t.Run(name, func(t *testing.T) { compareLAVIS(t, c) })
	}
}

func compareLAVIS(t *testing.T, c *Captioner) {
	b, err := os.ReadFile("testdata/lavis/lavis.json")
	if err != nil {
		t.Fatal(err)
	}
	var want familyWant
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	for _, w := range want.Images {
		img, err := image.DecodeFile(filepath.Join("../..", w.Path), image.DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		for _, caption := range w.Captions {
			var r decode.Request
			s := caption.Settings
			if s.Prompt != "" {
				r.Prompt = &s.Prompt
			}
			if s.Beams != 0 {
				r.Beam = &s.Beams
			}
			if s.MaxLength != 0 {
				n := s.MaxLength - 4 // without begin and prompt
				r.MaxLen = &n
			}
			o, err := r.Resolve(c.Defaults(), c.Tokenizer().Encode, c.Positions())
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Caption(context.Background(), []*image.RGB{c.Prepare(img)}, o)
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.TrimSpace(caption.Text); got[0].Text != text {
				t.Errorf("%s with %+v: got %q, want %q", w.Path, s, got[0].Text, text)
			}
		}
	}
}
