package captioner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"captioner/data/image"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/torchtest"
)

// familiesDir holds small captioners of each family as their libraries write them (scripts/fixtures/captioners.py).
const familiesDir = "testdata/families"

// familyWant is what the library gave for photographs.
type familyWant struct {
	Seed     int
	Command  string // that made it; "" for the small ones
	Versions map[string]string
	Images   []struct {
		Path, Pixels string
		Captions     []familyCaption
	}
}

type familyCaption struct {
	Settings generateSettings
	Tokens   []int32 // without begin, prompt and end
	Text     string  // as the family's processor gives it; "" where it has none
}

// generateSettings are those of a call of generate. Lengths count begin and prompt.
type generateSettings struct {
	Own           bool            `json:"own,omitempty"` // the model's own settings, but for prompt and task
	Task          string          `json:"task,omitempty"`
	Prompt        string          `json:"prompt,omitempty"`
	Beams         int             `json:"num_beams,omitempty"`
	MinLength     int             `json:"min_length,omitempty"`
	MaxLength     int             `json:"max_length,omitempty"`
	LengthPenalty *float64        `json:"length_penalty,omitempty"`
	NoRepeat      int             `json:"no_repeat_ngram_size,omitempty"`
	Stop          json.RawMessage `json:"early_stopping,omitempty"`
	Penalty       float64         `json:"repetition_penalty,omitempty"`
}

// options are the settings over the captioner's own.
func (g generateSettings) options(c *Captioner) decode.Options {
	o := c.Defaults()
	var r decode.Request
	if g.Task != "" {
		r.Task = &g.Task
	}
	if g.Prompt != "" {
		r.Prompt = &g.Prompt
	}
	asked, err := r.Resolve(o, c.Tokenizer().Encode, c.Positions())
	if err != nil {
		panic(err) // the fixture asks for what the family does not have
	}
	o.Prompt = asked.Prompt
	prompt := o.Begun()
	if g.Own {
		return o
	}
	if o.Rule == decode.CoCa || o.Rule == decode.ClipCap { // they have settings of their own, and defaults
		o.Beam = max(g.Beams, 1)
		if g.Beams == 0 {
			o.Beam = c.Defaults().Beam
		}
		return o
	}
	if g.MaxLength > 0 {
		o.MaxLen = g.MaxLength - 1 - prompt
	}
	o.MinLen = max(g.MinLength-1-prompt, 0)
	if o.Beam = max(g.Beams, 1); o.Reading == nil || g.NoRepeat > 0 {
		o.NoRepeatNGram = g.NoRepeat
	}
	if g.LengthPenalty != nil {
		o.LengthPenalty = *g.LengthPenalty
	}
	o.RepetitionPenalty = g.Penalty
	if string(g.Stop) == "true" {
		o.EarlyStopping = decode.StopTrue
	}
	return o
}

// familyReport is the outcome of a comparison, as models/captioner/testdata/parity-FAMILY.json holds it.
type familyReport struct {
	Family      string             `json:"family"`
	Commands    []string           `json:"commands"`
	Seed        int                `json:"seed"`
	Versions    map[string]string  `json:"versions"`
	Photographs int                `json:"photographs"`
	Pixels      int                `json:"pixels_equal"`
	Furthest    map[string]string  `json:"furthest_relative"` // features, and the logits of the first and the last token
	Captions    int                `json:"captions_different_among_greedy_ones"`
	Equal       map[string]string  `json:"token_sequences_equal"` // by settings
	Other       []familyDifference `json:"token_sequences_that_differ"`

	// Rounded are the token sequences that bf16 and int8 have in common with the library's, of all settings.
	Rounded map[string]string `json:"token_sequences_equal_below_fp32,omitempty"`
}

type familyDifference struct {
	Path, Settings string
	Got, Want      []int32
}

// compareFamily captions the photographs of a folder's want.json by all its settings.
func compareFamily(t *testing.T, name, dir, precision string) familyReport {
	t.Helper()
	return compareFamilyAs(t, name, dir, dir, precision)
}

// compareFamilyAs compares the model in a folder with what is wanted of the one in another.
func compareFamilyAs(t *testing.T, name, dir, wanted, precision string) familyReport {
	t.Helper()
	var want familyWant
	b, err := os.ReadFile(filepath.Join(wanted, "want.json"))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Device: "cpu", Precision: precision}
	if name == "clipcap" { // a file, beside that of its CLIP
		dir, o.Encoder = filepath.Join(dir, "model.pt"), filepath.Join(dir, "clip.pt")
	}
	c, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := familyReport{
		Family: name, Commands: []string{want.Command}, Seed: want.Seed, Versions: want.Versions,
		Photographs: len(want.Images),
	}
	r.Equal = map[string]string{}
	equal, greedy := make([]int, len(want.Images[0].Captions)), map[string]bool{}
	var images []*image.RGB
	for _, img := range want.Images {
		picture, err := image.DecodeFile(filepath.Join("../..", img.Path), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		prepared := c.Prepare(picture)
		if sum := sha256.Sum256(prepared.Pix); hex.EncodeToString(sum[:]) == img.Pixels {
			r.Pixels++
		}
		images = append(images, prepared)
		greedy[fmt.Sprint(img.Captions[0].Tokens)] = true
	}
	r.Captions = len(greedy)
	const batch = 10
	var features [][]float32 // of all images, where their captions are made of them
	for from := 0; from < len(images); from += batch {
		part := images[from:min(from+batch, len(images))]
		caption := func(o decode.Options) ([]Caption, error) { return c.Caption(context.Background(), part, o) }
		if want.Command != "" { // large images are encoded once for all settings
			seen, err := c.Features(context.Background(), part)
			if err != nil {
				t.Fatal(err)
			}
			if precision == "fp32" {
				features = append(features, seen...)
			}
			caption = func(o decode.Options) ([]Caption, error) {
				return c.CaptionFeatures(context.Background(), seen, o)
			}
		}
		for s := range equal {
			o := want.Images[0].Captions[s].Settings.options(c)
			got, err := caption(o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range part {
				img := want.Images[from+i]
				tokens := got[i].Tokens[o.Begun():]
				if want := img.Captions[s].Text; want != "" && precision == "fp32" && got[i].Text != want {
					t.Errorf("%s: got the text %q, want %q", img.Path, got[i].Text, want)
				}
				if slices.Equal(tokens, img.Captions[s].Tokens) {
					equal[s]++
					continue
				}
				settings, _ := json.Marshal(img.Captions[s].Settings)
				r.Other = append(r.Other, familyDifference{img.Path, string(settings), tokens, img.Captions[s].Tokens})
			}
		}
	}
	for s, n := range equal {
		settings, _ := json.Marshal(want.Images[0].Captions[s].Settings)
		r.Equal[string(settings)] = fmt.Sprintf("%d of %d", n, len(want.Images))
	}
	if precision == "fp32" {
		r.Furthest = compareFamilyValues(t, c, wanted, want, func(i int) *torch.Tensor {
			if features == nil {
				return c.encoder.Features(images[i].Pix, 1)
			}
			positions, width := c.FeatureShape()
			return torch.FromSlice(features[i], 1, int64(positions), int64(width))
		})
	}
	return r
}

// compareFamilyValues gives how far features and logits are from the reference's, relative to its largest.
func compareFamilyValues(
	t *testing.T, c *Captioner, dir string, want familyWant, featuresOf func(image int) *torch.Tensor,
) map[string]string {
	t.Helper()
	src := torchtest.Fixture(t, filepath.Join(dir, "want.safetensors"))
	furthest := map[string]float64{}
	see := func(name string, got, want *torch.Tensor) {
		furthest[name] = max(furthest[name], torchtest.Distance(got, want))
	}
	torchtest.Do(t, func() {
		torch.NoGrad(func() {
			rows, first, last := torchtest.Get(t, src, "features"), torchtest.Get(t, src, "first"), torchtest.Get(t, src, "last")
			for i := range want.Images {
				torch.Scoped(func() {
					n := int64(i)
					features := featuresOf(i)
					step := max(1, features.Dim(1)/8)
					for row := range rows.Dim(1) {
						see("features", features.Select(0, 0).Select(0, row*step), rows.Select(0, n).Select(0, row))
					}
					tokens := want.Images[i].Captions[0].Tokens
					logits := lastLogits(t, c, features, tokens)
					see("first logits", logits[0], first.Select(0, n))
					see("last logits", logits[len(logits)-1], last.Select(0, n))
				})
			}
		})
	})
	out := map[string]string{}
	for name, off := range furthest {
		out[name] = fmt.Sprintf("%.1e", off)
		if !(off < 1e-4) {
			t.Errorf("%s: %g off, want less than 1e-4", name, off)
		}
	}
	return out
}

// lastLogits gives the logits behind each token of a text, the begin token first: [V] each.
func lastLogits(t *testing.T, c *Captioner, features *torch.Tensor, tokens []int32) []*torch.Tensor {
	t.Helper()
	texts := family.Texts{Images: 1, Rows: 1, Length: len(tokens) + 1, Prompt: c.Defaults().Prompt}
	s, err := c.writer.Start(features, texts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	var out []*torch.Tensor
	var parents []int32
	for _, token := range append([]int32{c.Defaults().BOS}, tokens...) {
		x, err := s.Logits(parents, []int32{token})
		if err != nil {
			t.Fatal(err)
		}
		out, parents = append(out, x.Select(0, 0)), []int32{0}
	}
	return out
}

// From the file of a photograph to the tokens that the family's own library gives.
func TestFamilyCaptions(t *testing.T) {
	dirs, err := os.ReadDir(familiesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			r := compareFamily(t, d.Name(), filepath.Join(familiesDir, d.Name()), "fp32")
			if r.Pixels != r.Photographs || r.Captions < 5 {
				t.Errorf("got %d of %d images with the reference's pixels, and %d different captions, want all and 5 or more",
					r.Pixels, r.Photographs, r.Captions)
			}
			for _, o := range r.Other {
				t.Errorf("%s, %s: got %v, want %v", o.Path, o.Settings, o.Got, o.Want)
			}
		})
	}
}

// A captioner written as a model file gives the captions of the folder that it was read from.
func TestFamilyRoundTrip(t *testing.T) {
	for _, name := range []string{"blip", "git", "florence2"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(familiesDir, name)
			ck, err := checkpoint.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer ck.Close()
			path := filepath.Join(t.TempDir(), "model.safetensors")
			if err := ck.Export(context.Background(), path, checkpoint.FormCaptioner, checkpoint.ExportOptions{}); err != nil {
				t.Fatal(err)
			}
			picture, err := image.DecodeFile("../../examples/dog.jpg", image.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, p := range []string{dir, path} {
				c, err := Open(p, Options{Device: "cpu"})
				if err != nil {
					t.Fatal(err)
				}
				got, err := c.Caption(context.Background(), []*image.RGB{c.Prepare(picture)}, c.Defaults())
				c.Close()
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, fmt.Sprint(got[0].Text, got[0].Tokens))
			}
			if texts[0] != texts[1] {
				t.Errorf("got %q from the model file, want %q", texts[1], texts[0])
			}
		})
	}
}

// CAPTIONER_FULL names a folder in which scripts/fixtures/captioners.py made captioners of the published sizes. The
// reports of a family, of its seeds and sizes, go to parity-FAMILY-captions.json there.
func TestFullSizeFamilies(t *testing.T) {
	root := os.Getenv("CAPTIONER_FULL")
	for _, name := range []string{
		"blip", "git", "florence2", "coca", "clipcap", "vit-gpt2", "swin-gpt2", "beit-gpt2",
	} {
		t.Run(name, func(t *testing.T) {
			dirs, err := filepath.Glob(filepath.Join(root, name+"*", "want.json"))
			if root == "" || len(dirs) == 0 {
				t.Skipf("no want.json in %q (%v): scripts/fixtures/captioners.py makes it, CAPTIONER_FULL names its folder",
					root, err)
			}
			var reports []familyReport
			for _, path := range dirs {
				t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
					reports = append(reports, compareFullSize(t, name, filepath.Dir(path)))
				})
			}
			b, err := json.MarshalIndent(reports, "", "  ")
			if err == nil {
				err = os.WriteFile(filepath.Join(root, "parity-"+name+"-captions.json"), append(b, 0x0a), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s", b)
		})
	}
}

// compareFullSize compares in fp32, and counts what bf16 and int8 have in common with the library.
func compareFullSize(t *testing.T, name, dir string) familyReport {
	t.Helper()
	r := compareFamily(t, name, dir, "fp32")
	r.Rounded = map[string]string{}
	for _, precision := range []string{"bf16", "int8"} {
		all := r.Photographs * len(r.Equal)
		other := compareFamily(t, name, dir, precision).Other
		r.Rounded[precision] = fmt.Sprintf("%d of %d", all-len(other), all)
	}
	r.Commands = append(r.Commands, "CAPTIONER_FULL=FOLDER go test ./models/captioner -run FullSizeFamilies -timeout 3h")
	if r.Pixels != r.Photographs || len(r.Other) > 0 {
		t.Errorf("got %d of %d images with the reference's pixels, and %d other token sequences, want all and none",
			r.Pixels, r.Photographs, len(r.Other))
	}
	return r
}
