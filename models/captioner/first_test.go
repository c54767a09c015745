package captioner

import (
	"archive/zip"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"captioner/models/checkpoint"
	"captioner/models/clipdecoder10"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/weights"
)

// firstDir holds what clip-text-decoder 1.0.0 saves (scripts/fixtures/first.py).
const firstDir = "testdata/first"

const version10 = "clip-text-decoder 1.0.0"

type wantFirst struct {
	Embeddings [][]float32
	Captions   map[string][]string
	Tokens     map[string][][]int32
	Logits     struct {
		Tokens []int32
		Values [][]float32
	}
}

func openFirstFile(t *testing.T, path string) (*Captioner, wantFirst) {
	t.Helper()
	var want wantFirst
	b, err := os.ReadFile(filepath.Join(firstDir, "want.json"))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(path, Options{Device: "cpu", Threads: 1, NoEncoder: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, want
}

// tokenizerFile takes tokenizer.pkl out of the saved model.
func tokenizerFile(t *testing.T, dir string) {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r, err := z.Open("tokenizer.pkl")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tokenizer.pkl", string(b))
}

// Both files of 1.0.0 give the captions of its own __call__, token for token.
func TestFirstCaptions(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile(filepath.Join(firstDir, "decoder.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "decoder.ckpt", string(b))
	_, err = checkpoint.Open(filepath.Join(dir, "decoder.ckpt"))
	oneLineWith(t, "a checkpoint without words", err, "want its tokenizer.pkl beside it")
	tokenizerFile(t, dir)
	for _, path := range []string{filepath.Join(firstDir, "model_1.0.zip"), filepath.Join(dir, "decoder.ckpt")} {
		c, want := openFirstFile(t, path)
		for length, captions := range want.Captions {
			o := c.Defaults()
			o.MaxLen, _ = strconv.Atoi(length)
			got, err := c.CaptionFeatures(context.Background(), want.Embeddings, o)
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range got {
				if !slices.Equal(g.Tokens, want.Tokens[length][i]) || g.Text != captions[i] {
					t.Errorf(
						"%s, max_len %s, embedding %d: got %q %v, want %q %v",
						path,
						length,
						i,
						g.Text,
						g.Tokens,
						captions[i],
						want.Tokens[length][i],
					)
				}
			}
		}
		o := c.Defaults()
		o.Rule, o.Beam = "", 3 // not of 1.0.0: the search of today works over its decoder, too
		if _, err := c.CaptionFeatures(context.Background(), want.Embeddings[:3], o); err != nil {
			t.Error(err)
		}
	}
}

func TestFirstLogits(t *testing.T) {
	c, want := openFirstFile(t, filepath.Join(firstDir, "model_1.0.zip"))
	err := torch.Do(context.Background(), func() (err error) {
		torch.Scoped(func() {
			x := torch.FromSlice(want.Embeddings[0], 1, 1, int64(len(want.Embeddings[0])))
			s, err := c.writer.Start(x, family.Texts{Images: 1, Rows: 1, Length: 8})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Free()
			for i, token := range want.Logits.Tokens {
				var parents []int32
				if i > 0 {
					parents = []int32{0}
				}
				logits, err := s.Logits(parents, []int32{token})
				if err != nil {
					t.Error(err)
					return
				}
				for k, g := range torch.Slice[float32](logits) {
					if w := want.Logits.Values[i][k]; math.Abs(float64(g-w)) > 1e-4*math.Max(1, math.Abs(float64(w))) {
						t.Errorf("step %d, logit %d: got %g, want %g", i, k, g, w)
					}
				}
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Written in captioner's own form, with and without an encoder, it gives the same captions; the forms of Python have no
// place for it.
func TestFirstOwnForm(t *testing.T) {
	vision := tinyViT
	vision.EmbedDim = 16
	f, err := OpenFile(filepath.Join(firstDir, "model_1.0.zip"), Options{Encoder: clipFile(t, vision)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	half := weights.F16
	for name, o := range map[string]checkpoint.ExportOptions{"as it is": {Origin: "a test"}, "in halves": {DType: &half}} {
		path := filepath.Join(t.TempDir(), "own.safetensors")
		if err := f.Export(t.Context(), path, checkpoint.FormCaptioner, o); err != nil {
			t.Fatal(err)
		}
		c, want := openFirstFile(t, path)
		if c.File.Family != version10 || !c.File.HasEncoder() || c.File.Card.Origin != o.Origin ||
			c.File.Tokenizer.VocabSize() != 82 {
			t.Errorf(
				"%s: got %+v, %d words, encoder %v",
				name,
				c.File.Card,
				c.File.Tokenizer.VocabSize(),
				c.File.HasEncoder(),
			)
		}
		got, err := c.CaptionFeatures(t.Context(), want.Embeddings, c.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		different := 0
		for i, g := range got {
			if g.Text != want.Captions["32"][i] {
				different++
			}
		}
		if different > 0 && o.DType == nil || different > 2 {
			t.Errorf("%s: %d of %d captions are others than Python's", name, different, len(got))
		}
	}
	for _, form := range []checkpoint.Form{
		checkpoint.FormLightning,
		checkpoint.FormStateDict,
		checkpoint.FormHuggingFace,
	} {
		err := f.Export(t.Context(), filepath.Join(t.TempDir(), "x"), form, checkpoint.ExportOptions{})
		oneLineWith(t, string(form), err, "whose decoder is not GPT-2")
	}
	bare, err := checkpoint.Open(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	oneLineWith(
		t,
		"no encoder",
		bare.Export(t.Context(), filepath.Join(t.TempDir(), "x"), checkpoint.FormCaptioner, checkpoint.ExportOptions{}),
		"cannot be its own: the decoder does not fit its encoder",
	)
}

// A description that does not belong to such a decoder is refused.
func TestFirstConfig(t *testing.T) {
	vision := tinyViT
	vision.EmbedDim = 16
	f, err := OpenFile(filepath.Join(firstDir, "model_1.0.zip"), Options{Encoder: clipFile(t, vision)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Config.Validate(); err != nil {
		t.Fatal(err)
	}
	sizes := f.Config.Decoder.(clipdecoder10.Config)
	for want, change := range map[string]func(*family.Config, *clipdecoder10.Config){
		`want "pooled-padded"`: func(c *family.Config, _ *clipdecoder10.Config) {
			c.Memory.Kind = encoder.PooledProjected
		},
		"heads that divide":        func(_ *family.Config, s *clipdecoder10.Config) { s.Heads = 5 },
		"want each from 1 to 2^24": func(_ *family.Config, s *clipdecoder10.Config) { s.VocabSize = -1 },
		"want the decoder's width": func(_ *family.Config, s *clipdecoder10.Config) { s.Width = 24 },
	} {
		c, s := f.Config, sizes
		change(&c, &s)
		c.Decoder = s
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Sizes that the weights do not have take no memory.
func TestFirstSizes(t *testing.T) {
	f, err := checkpoint.Open(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sizes := f.Config.Decoder.(clipdecoder10.Config)
	sizes.Inner = 1 << 24
	f.Config.Decoder = sizes
	_, err = f.LoadWriter(torch.CPU, torch.Float32)
	oneLineWith(t, "inner", err, "want those of the weights")
}

// What cannot be done with such a model is said.
func TestFirstOnlyCaptions(t *testing.T) {
	f, err := checkpoint.Open(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	oneLineWith(
		t,
		"export",
		f.Export(
			context.Background(),
			filepath.Join(t.TempDir(), "x.pt"),
			checkpoint.FormStateDict,
			checkpoint.ExportOptions{},
		),
		"want one with GPT-2",
	)
	_, err = f.LoadLearner(torch.CPU, true)
	oneLineWith(t, "load", err, "training on from that family is not supported, want one of BLIP or ")
	_, err = Open(filepath.Join(firstDir, "model_1.0.zip"), Options{Device: "cpu"})
	oneLineWith(t, "no encoder", err, "does not fit its encoder")
	_, err = Open(
		filepath.Join(firstDir, "model_1.0.zip"),
		Options{Device: "cpu", Encoder: filepath.Join(trainedDir, "clip.pt")},
	)
	oneLineWith(t, "another encoder", err, "want at most the decoder's width 16")
}
