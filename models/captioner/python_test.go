package captioner

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/checkpoint"
	"captioner/models/clip"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/torch"
)

const pythonDir = "testdata/python"

func readFixture(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(pythonDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// wantOriginal is what clip-text-decoder says.
type wantOriginal struct {
	Embeddings [][]float32
	Captions   map[string][]string
	Sampled    []struct {
		Temperature float64
		TopK        int
		Seed        uint64
		Captions    []string
	}
}

// tinyFile is a fixture with what its weights do not hold beside it: no checkpoint of the real package has so few
// words.
func tinyFile(t testing.TB, name string) string {
	t.Helper()
	words := wordsOf(t, filepath.Join(pythonDir, "model-1.4.4.pt"))
	return withFiles(t, filepath.Join(pythonDir, name), 4, words)
}

// openTiny opens a fixture for features.
func openTiny(t testing.TB, name string) *Captioner {
	t.Helper()
	c, err := Open(tinyFile(t, name), Options{Device: "cpu", Threads: 1, NoEncoder: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// padTo makes embeddings as long as the memory wants them.
func padTo(x [][]float32, width int) [][]float32 {
	out := make([][]float32, len(x))
	for i, v := range x {
		out[i] = append(slices.Clone(v), make([]float32, width-len(v))...)
	}
	return out
}

// Each form of the package's checkpoints gives the package's captions: greedy and beams, unfinished ones too.
func TestOriginalsCaptions(t *testing.T) {
	var want wantOriginal
	readFixture(t, "want-original.json", &want)
	for _, name := range []string{
		"model-1.4.4.pt",
		"model-1.2.0.zip",
		"lightning-2.ckpt",
		"lightning-1.ckpt",
		"state-dict.pt",
	} {
		c := openTiny(t, name)
		if rule := c.Defaults().Rule; rule != decode.ClipDecoder {
			t.Errorf("%s: rule %q, want Python's", name, rule)
		}
		_, width := c.FeatureShape()
		for beam, captions := range want.Captions {
			o := c.Defaults()
			o.Beam, _ = strconv.Atoi(beam)
			o.MaxLen = 24
			got, err := c.CaptionFeatures(context.Background(), padTo(want.Embeddings, width), o)
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range got {
				if g.Text != captions[i] {
					t.Errorf("%s, beam %s, embedding %d: got %q, want %q", name, beam, i, g.Text, captions[i])
				}
			}
		}
	}
}

// The rule of 1.1 and 1.2 gives its draws, from torch's own random numbers.
func TestOriginalsDraws(t *testing.T) {
	var want wantOriginal
	readFixture(t, "want-original.json", &want)
	c := openTiny(t, "model-1.2.0.zip")
	for _, s := range want.Sampled {
		o := c.Defaults()
		o.Rule, o.Temperature, o.TopK, o.Seed, o.MaxLen = decode.ClipDecoderSample, s.Temperature, s.TopK, s.Seed, 24
		got, err := c.CaptionFeatures(context.Background(), padTo(want.Embeddings, 32), o)
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range got {
			if g.Text != s.Captions[i] {
				t.Errorf(
					"temperature %g, top %d, embedding %d: got %q, want %q",
					s.Temperature,
					s.TopK,
					i,
					g.Text,
					s.Captions[i],
				)
			}
		}
	}
}

// What a checkpoint says about its encoder is found, and without another it is refused where it does not fit the
// decoder.
func TestOriginalsEncoder(t *testing.T) {
	for name, want := range map[string]string{
		"model-1.4.4.pt": "clip:ViT-B/32", "model-1.2.0.zip": "ViT-B/32", "lightning-1.ckpt": "clip:ViT-B/32",
		"lightning-2.ckpt": "clip:ViT-B/32", "state-dict.pt": "", "nested-bf16-legacy.pt": ""} {
		f, err := checkpoint.Open(tinyFile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if f.Card.Encoder != want {
			t.Errorf("%s: got encoder %q, want %q", name, f.Card.Encoder, want)
		}
		f.Close()
		says := "tokenizer: found none"
		if strings.HasPrefix(name, "model") {
			says = "names one that cannot be its own: the decoder does not fit its encoder: " +
				"ViT-B/32 gives an image 512 numbers, " +
				"want at most the decoder's width 32"
		}
		_, err = Open(filepath.Join(pythonDir, name), Options{Device: "cpu"})
		oneLineWith(t, name, err, says)
	}
}

// Whose transform an image goes through, the names in the encoder's file tell, or the checkpoint that
// clip-text-decoder wrote.
func TestScaleFirst(t *testing.T) {
	for path, want := range map[string]bool{
		clipFile(t, tinyViT):             true,
		trainedDir + "/clip.pt":          true,
		filepath.Join(pythonDir, "clip"): false,
	} {
		p, err := checkpoint.OpenEncoder(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Config.Preprocess.ScaleFirst; got != want {
			t.Errorf("%s: got pictures scaled first %t, want %t", path, got, want)
		}
		p.Close()
	}
	for name, want := range map[string]bool{"clip:ViT-B/32": true, "blip:base": false} {
		if e, err := checkpoint.Known().Encoders.Published(name); err != nil || e.Preprocess.ScaleFirst != want {
			t.Errorf("%s: got pictures scaled first %t, %v, want %t", name, e.Preprocess.ScaleFirst, err, want)
		}
	}
}

// A checkpoint that does not name its encoder takes any that fits.
func TestAnyEncoder(t *testing.T) {
	p, err := checkpoint.OpenEncoder(clipFile(t, tinyViT))
	if err != nil {
		t.Fatal(err)
	}
	c := openTiny(t, "state-dict.pt")
	if err := c.File.UseEncoder(p); err != nil {
		t.Fatal(err)
	}
	if places, width := c.FeatureShape(); places != 1 || width != 12 {
		t.Errorf("got features of %d places and %d numbers, want 1 and 12", places, width)
	}
	wide := tinyViT
	wide.EmbedDim = 40
	if p, err = checkpoint.OpenEncoder(clipFile(t, wide)); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := openTiny(t, "state-dict.pt").File.UseEncoder(p); err == nil ||
		!strings.Contains(err.Error(), "does not fit") {
		t.Errorf("an encoder of 40 numbers for a decoder of 32: got %v", err)
	}
}

type wantFace struct {
	GPT2 struct {
		Embeddings [][]float32
		Tokens     [][]int32
	}
	CLIP struct {
		Pixels   []int
		Features []float32
	}
	EncoderDecoder struct{ Tokens []int32 } `json:"encoder-decoder"`
}

// Folders of Hugging Face: .bin and .safetensors, shards with an index, both forms of the tokenizer, settings that only
// config.json tells.
func TestFolders(t *testing.T) {
	var want wantFace
	readFixture(t, "want-face.json", &want)
	ctx := context.Background()
	c, err := Open(filepath.Join(pythonDir, "gpt2"), Options{Device: "cpu", Threads: 1, NoEncoder: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := c.Defaults()
	o.MaxLen = 24
	got, err := c.CaptionFeatures(ctx, padTo(want.GPT2.Embeddings, 32), o)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		if !slices.Equal(g.Tokens, want.GPT2.Tokens[i]) {
			t.Errorf("gpt2, embedding %d: got %v, want %v", i, g.Tokens, want.GPT2.Tokens[i])
		}
	}

	img := image.New(32, 32)
	for i, v := range want.CLIP.Pixels {
		img.Pix[i] = byte(v)
	}
	p, err := checkpoint.OpenEncoder(filepath.Join(pythonDir, "clip"))
	if err != nil {
		t.Fatal(err)
	}
	if c := p.Config.Encoder.(clip.Config); c.QuickGELU || c.Vision.Heads != 3 {
		t.Errorf("clip: got %+v, want GELU and 3 heads as config.json says", c)
	}
	err = torch.Do(ctx, func() error {
		e, err := encoder.NewRunner(
			p.Config,
			encoder.Memory{Kind: encoder.PooledPadded, In: 12},
			p.Source(),
			torch.CPU,
			torch.Float32,
		)
		if err != nil {
			return err
		}
		defer e.Free()
		for i, g := range torch.Slice[float32](e.Features(img.Pix, 1)) {
			if w := want.CLIP.Features[i]; math.Abs(float64(g-w)) > 1e-4*math.Max(1, math.Abs(float64(w))) {
				t.Errorf("clip, feature %d: got %g, want %g", i, g, w)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()

	for _, path := range []string{"encoder-decoder", "encoder-decoder/model.safetensors"} {
		both, err := Open(filepath.Join(pythonDir, path), Options{Device: "cpu", Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		o := both.Defaults()
		o.Beam, o.MaxLen, o.NoRepeatNGram = 1, 23, 0
		seen, err := both.Caption(ctx, []*image.RGB{img}, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seen[0].Tokens, want.EncoderDecoder.Tokens) {
			t.Errorf("%s: got %v, want %v", path, seen[0].Tokens, want.EncoderDecoder.Tokens)
		}
		both.Close()
	}
}
