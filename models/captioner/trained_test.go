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
	"captioner/data/image/jpeg"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/models/encoder"
)

// trainedDir and blipDir hold captioners that the Python original trained on photographs, in the forms that it writes
// (scripts/fixtures/trained.py): with an encoder of CLIP, and with one of BLIP.
const trainedDir, blipDir = "testdata/original", "testdata/original-blip"

// trained is what the original's own __call__ gives.
type trained struct {
	Embeddings  [][]float32
	Beams       map[string]answers           // 1.4.4, by the beam's size
	Old         answers                      `json:"1.2.0"` // greedy
	Photographs map[string]map[string]string // 1.4.4: path, beam, caption
}

type answers struct {
	Tokens   [][]int32 // with the begin token, and with the end token in 1.4.4
	Captions []string
}

func openTrained(t *testing.T, dir, name string) (*Captioner, trained) {
	t.Helper()
	var want trained
	b, err := os.ReadFile(filepath.Join(dir, "want.json"))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	vision, file := "ViT-B/32", "clip.pt"
	known := checkpoint.Known()
	if dir == blipDir {
		vision, file = "blip:base", "blip.pth"
		known.Heads = &encoder.Heads{Of: map[encoder.Part]int64{encoder.EncoderPart: 1}}
	}
	path := withFiles(t, filepath.Join(dir, name), 2, wordsOf(t, filepath.Join(dir, "model_1.4.pt")))
	c, err := Open(path, Options{Device: "cpu", Threads: 1, Encoder: filepath.Join(dir, file), Architectures: &known})
	if err != nil {
		t.Fatal(err)
	}
	if named := c.File.Card.Encoder; strings.TrimPrefix(named, "clip:") != vision && name != "state_dict.pt" {
		t.Errorf("%s: found the encoder %q, want %s", name, named, vision)
	}
	t.Cleanup(func() { c.Close() })
	return c, want
}

// Every form of the trained captioners gives the tokens that Python gave, greedily and with beams.
func TestTrainedCaptions(t *testing.T) {
	for _, path := range []string{
		trainedDir + "/model_1.4.pt", trainedDir + "/model_1.2.zip", trainedDir + "/decoder.ckpt",
		trainedDir + "/state_dict.pt",
		blipDir + "/model_1.4.pt", blipDir + "/state_dict.pt"} {
		t.Run(path, func(t *testing.T) {
			c, want := openTrained(t, filepath.Dir(path), filepath.Base(path))
			features := want.Embeddings
			compare := func(o decode.Options, want answers) {
				t.Helper()
				got, err := c.CaptionFeatures(context.Background(), features, o)
				if err != nil {
					t.Fatal(err)
				}
				for i, g := range got {
					if !slices.Equal(inner(g.Tokens, o, false), inner(want.Tokens[i], o, true)) ||
						g.Text != want.Captions[i] {
						t.Errorf(
							"rule %s, beam %d, embedding %d: got %q %v, want %q %v",
							o.Rule,
							o.Beam,
							i,
							g.Text,
							g.Tokens,
							want.Captions[i],
							want.Tokens[i],
						)
					}
				}
			}
			for beam, answers := range want.Beams {
				o := c.Defaults()
				o.Beam, _ = strconv.Atoi(beam)
				compare(o, answers)
			}
			o := c.Defaults()
			o.Rule, o.TopK, o.Temperature = decode.ClipDecoderSample, 1, 1e-8
			if filepath.Dir(path) == trainedDir { // 1.2.0 knows no BLIP
				compare(o, want.Old)
			}
		})
	}
}

// From the file of a photograph to its caption, as the original's ImageCaptionInferenceModel goes.
func TestTrainedCaptionsOfPhotographs(t *testing.T) {
	for _, dir := range []string{trainedDir, blipDir} {
		t.Run(dir, func(t *testing.T) { captionsOfPhotographs(t, dir) })
	}
}

// Images with a palette, alpha, inks or 16 bits are scaled before they are made RGB, as the original does: converted
// first, as a checkpoint of Hugging Face wants it, the encoder sees something else.
func TestTrainedCaptionsOfModes(t *testing.T) {
	c, _ := openTrained(t, trainedDir, "model_1.4.pt")
	var want map[string]struct {
		Mode      string
		Embedding []float32
		Captions  map[string]string
	}
	b, err := os.ReadFile(filepath.Join(trainedDir, "modes.json"))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	first := c.File.Config.Encoder.Preprocess
	first.ScaleFirst = false
	differ := 0
	for path, want := range want {
		if strings.HasSuffix(path, ".jpg") && !jpeg.Exact {
			continue
		}
		img, err := image.DecodeFile(filepath.Join("../..", path), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pictures := []*image.RGB{c.Prepare(img), first.Apply(img)}
		seen, err := c.Features(context.Background(), pictures)
		if err != nil {
			t.Fatal(err)
		}
		if off := distance(seen[0], want.Embedding); off > 1e-4 {
			t.Errorf("%s, mode %s: got an embedding that is %g off, want at most 1e-4", path, want.Mode, off)
		}
		if distance(seen[1], want.Embedding) > 1e-2 {
			differ++
		}
		for beam, caption := range want.Captions {
			o := c.Defaults()
			o.Beam, _ = strconv.Atoi(beam)
			got, err := c.Caption(context.Background(), pictures[:1], o)
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Text != caption {
				t.Errorf("%s, mode %s, beam %s: got %q, want %q", path, want.Mode, beam, got[0].Text, caption)
			}
		}
	}
	if differ < len(want)/2 {
		t.Errorf("found %d of %d embeddings that converting first would change, want half of them", differ, len(want))
	}
}

// distance is how far got is from want, relative to the length of want.
func distance(got, want []float32) float64 {
	off, length := 0.0, 0.0
	for k, w := range want {
		off += math.Pow(float64(got[k]-w), 2)
		length += math.Pow(float64(w), 2)
	}
	return math.Sqrt(off / length)
}

func captionsOfPhotographs(t *testing.T, dir string) {
	c, want := openTrained(t, dir, "model_1.4.pt")
	if len(want.Photographs) == 0 {
		t.Fatal("found no photographs in the fixture")
	}
	for path, captions := range want.Photographs {
		img, err := image.DecodeFile(filepath.Join("../..", path), image.Options{}) // Pillow turns nothing by itself
		if err != nil {
			t.Fatal(err)
		}
		for beam, caption := range captions {
			o := c.Defaults()
			o.Beam, _ = strconv.Atoi(beam)
			got, err := c.Caption(context.Background(), []*image.RGB{c.Prepare(img)}, o)
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Text != caption {
				t.Errorf("%s, beam %s: got %q, want %q", path, beam, got[0].Text, caption)
			}
		}
	}
}
