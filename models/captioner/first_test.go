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

	"captioner/models/encoder"
	"captioner/torch"
	"captioner/weights"
)

// firstDir holds what clip-text-decoder 1.0.0 saves (scripts/fixtures/first.py).
const firstDir = "testdata/first"

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
	_, err = OpenFile(filepath.Join(dir, "decoder.ckpt"))
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
					t.Errorf("%s, max_len %s, embedding %d: got %q %v, want %q %v", path, length, i, g.Text, g.Tokens, captions[i], want.Tokens[length][i])
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
			s, err := c.first.Start(x, 1, 1, 8)
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

// pickledWords82 is a Tokenizer of 1.0.0 of as many words as the fixture's, and nothing else.
func pickledWords82() []byte {
	b := []byte("\x80\x02cclip_text_decoder.tokenizer\nTokenizer\n)\x81}X\x05\x00\x00\x00_stoi}(")
	for id := range 82 {
		word := "w" + strconv.Itoa(id)
		if id < 4 {
			word = []string{"UNK", "PAD", "BOS", "EOS"}[id]
		}
		b = append(b, 'X', byte(len(word)), 0, 0, 0)
		b = append(append(b, word...), 'K', byte(id))
	}
	return append(b, "usb."...)
}

// FuzzFirstWords opens a checkpoint of 1.0.0 beside whatever tokenizer.pkl there is: one line or a captioner, and nothing panics.
func FuzzFirstWords(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(firstDir, "decoder.ckpt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pickledWords82())
	f.Add([]byte("cos\nsystem\n(S'true'\ntR."))
	dir := f.TempDir()
	path := filepath.Join(dir, "decoder.ckpt")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, words []byte) {
		write(t, dir, "tokenizer.pkl", string(words))
		m, err := OpenFile(path)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		defer m.Close()
		if !m.First() || m.Tokenizer.VocabSize() != 82 {
			t.Errorf("got %d words, want the decoder's 82", m.Tokenizer.VocabSize())
		}
		m.Tokenizer.Decode([]int32{0, 81, 82, -1})
	})
}

// Written in captioner's own form, with and without an encoder, it gives the same captions; the forms of Python have no place for it.
func TestFirstOwnForm(t *testing.T) {
	eye := tinyViT
	eye.EmbedDim = 16
	encoder := clipFile(t, eye)
	f, err := OpenFileWith(filepath.Join(firstDir, "model_1.0.zip"), encoder)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	half := weights.F16
	for name, o := range map[string]ExportOptions{"as it is": {Origin: "a test"}, "in halves": {DType: &half}} {
		path := filepath.Join(t.TempDir(), "own.safetensors")
		if err := f.Export(t.Context(), path, FormCaptioner, o); err != nil {
			t.Fatal(err)
		}
		c, want := openFirstFile(t, path)
		if !c.File.First() || !c.File.HasEncoder() || c.File.Card.Origin != o.Origin || c.File.Tokenizer.VocabSize() != 82 {
			t.Errorf("%s: got %+v, %d words, encoder %v", name, c.File.Card, c.File.Tokenizer.VocabSize(), c.File.HasEncoder())
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
	for _, form := range []Form{FormLightning, FormStateDict, FormHuggingFace} {
		err := f.Export(t.Context(), filepath.Join(t.TempDir(), "x"), form, ExportOptions{})
		oneLineWith(t, string(form), err, "whose decoder is not GPT-2")
	}
	bare, err := OpenFile(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	oneLineWith(t, "no encoder", bare.Export(t.Context(), filepath.Join(t.TempDir(), "x"), FormCaptioner, ExportOptions{}), "cannot be its own: the decoder does not fit its encoder")
}

// A description that does not belong to such a decoder is refused.
func TestFirstConfig(t *testing.T) {
	eye := tinyViT
	eye.EmbedDim = 16
	f, err := OpenFileWith(filepath.Join(firstDir, "model_1.0.zip"), clipFile(t, eye))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Config.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		`want "pooled-padded"`:     func(c *Config) { c.Memory.Kind = encoder.PooledProjected },
		"heads that divide":        func(c *Config) { c.Transformer.Heads = 5 },
		"want each from 1 to 2^24": func(c *Config) { c.Transformer.VocabSize = -1 },
		"want the decoder's width": func(c *Config) { c.Transformer.Width = 24 },
	} {
		c, sizes := f.Config, *f.Config.Transformer
		c.Transformer = &sizes
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Sizes that the weights do not have take no memory.
func TestFirstSizes(t *testing.T) {
	f, err := OpenFile(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Config.Transformer.Inner = 1 << 24
	_, _, err = f.loadFirst(torch.CPU)
	oneLineWith(t, "inner", err, "want those of the weights")
}

// A tokenizer that wants something run is refused with its name.
func TestFirstRefusesCalls(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "model.zip", string(rezip(t, good, zip.Store, func(name string, b []byte) []byte {
		if name == "tokenizer.pkl" {
			return []byte("cos\nsystem\n(S'true'\ntR.")
		}
		return b
	})))
	_, err = OpenFile(filepath.Join(dir, "model.zip"))
	oneLineWith(t, "os.system", err, `"os.system"`)
}

// What cannot be done with such a model is said.
func TestFirstOnlyCaptions(t *testing.T) {
	f, err := OpenFile(filepath.Join(firstDir, "model_1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	oneLineWith(t, "export", f.Export(context.Background(), filepath.Join(t.TempDir(), "x.pt"), FormStateDict, ExportOptions{}), "can only caption")
	_, err = f.LoadModel(torch.CPU, true)
	oneLineWith(t, "load", err, "can only caption")
	_, err = Open(filepath.Join(firstDir, "model_1.0.zip"), Options{Device: "cpu"})
	oneLineWith(t, "no encoder", err, "does not fit its encoder")
	_, err = Open(filepath.Join(firstDir, "model_1.0.zip"), Options{Device: "cpu", Encoder: filepath.Join(trainedDir, "clip.pt")})
	oneLineWith(t, "another encoder", err, "want at most the decoder's width 16")
}
