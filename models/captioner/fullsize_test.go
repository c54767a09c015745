package captioner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/decode"
	"captioner/torch"
	"captioner/torch/torchtest"
)

// fullWant is what scripts/fixtures/fullsize.py wrote.
type fullWant struct {
	Seed     int
	Versions map[string]string
	Images   []fullImage
}

type fullImage struct {
	Path, Pixels string
	Greedy       []int32            // 1.2.0: with the begin token, without the end token
	Tokens       map[string][]int32 // 1.4.4, by the beam's size
	Gaps         map[string]float64 // between the two closest scores that decided something
	embedding    []float32
}

// parity is the outcome, as models/captioner/testdata/parity.json holds it.
type parity struct {
	Commands    []string          `json:"commands"`
	Seed        int               `json:"seed"`
	Versions    map[string]string `json:"versions"`
	Photographs int               `json:"photographs"`
	Pixels      int               `json:"pixels_equal"`
	Embeddings  string            `json:"embeddings_furthest_relative"`
	Captions    int               `json:"captions_different_among_pythons_own_of_beam_4"`
	Equal       map[string]int    `json:"token_sequences_equal"`
	Other       []difference      `json:"token_sequences_that_differ"`
}

type difference struct {
	Path, Rule string
	Gap        float64 // between Python's two closest scores
	Got, Want  []int32
}

const fullTie = 1e-4 // scores of Python closer than this may be told apart otherwise here

// readFull reads all parts of what Python gave, in the order of the photographs.
func readFull(t *testing.T, dir string) fullWant {
	t.Helper()
	parts, _ := filepath.Glob(filepath.Join(dir, "want*.json"))
	if len(parts) == 0 {
		t.Skipf("no want.json in %q: scripts/fixtures/fullsize.py makes it, CAPTIONER_FULL names its folder", dir)
	}
	var all fullWant
	seen := map[string]bool{}
	for _, part := range parts {
		var w fullWant
		b, err := os.ReadFile(part)
		if err == nil {
			err = json.Unmarshal(b, &w)
		}
		if err != nil {
			t.Fatal(err)
		}
		src := torchtest.Fixture(t, strings.TrimSuffix(part, ".json")+".safetensors")
		torchtest.Do(t, func() {
			rows := torchtest.Get(t, src, "embeddings")
			for i := range w.Images {
				w.Images[i].embedding = torch.Slice[float32](rows.Select(0, int64(i)))
			}
		})
		all.Seed, all.Versions = w.Seed, w.Versions
		for _, img := range w.Images {
			if !seen[img.Path] {
				all.Images, seen[img.Path] = append(all.Images, img), true
			}
		}
	}
	slices.SortFunc(all.Images, func(a, b fullImage) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// TestFullSizeCaptions compares whole models of random weights with the Python original over photographs: pixels,
// embeddings, tokens. It writes parity.json beside what it reads, or parity-blip.json where the encoder there is
// BLIP's.
func TestFullSizeCaptions(t *testing.T) {
	dir := os.Getenv("CAPTIONER_FULL")
	want := readFull(t, dir)
	vision, report, command := "ViT-B-32.pt", "parity.json", "python scripts/fixtures/fullsize.py FOLDER"
	if _, err := os.Stat(filepath.Join(dir, "blip.pth")); err == nil {
		vision, report, command = "blip.pth", "parity-blip.json", "BLIP=1 "+command
	}
	open := func(name string) *Captioner {
		c, err := Open(filepath.Join(dir, name), Options{Device: "cpu", Encoder: filepath.Join(dir, vision)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open("model.pt")
	out := parity{
		Seed:        want.Seed,
		Versions:    want.Versions,
		Photographs: len(want.Images),
		Equal:       map[string]int{},
		Other:       []difference{},
		Commands:    []string{command, "CAPTIONER_FULL=FOLDER go test ./models/captioner -run FullSize -timeout 3h"},
	}
	furthest, different := 0.0, map[string]bool{}
	const batch = 10
	for from := 0; from < len(want.Images); from += batch {
		some := want.Images[from:min(from+batch, len(want.Images))]
		pictures := prepareFull(t, c, some, &out)
		features, off := compareEmbeddings(t, c, some, pictures)
		furthest = max(furthest, off)
		for _, img := range some {
			different[fmt.Sprint(img.Tokens["4"])] = true
		}
		for beam := range 6 { // 0 is the greedy rule of 1.2.0, which knows no BLIP
			if beam == 0 && some[0].Greedy == nil {
				continue
			}
			compareTokens(t, c, some, features, beam, &out)
		}
	}
	c.Close()
	out.Embeddings, out.Captions = fmt.Sprintf("%.1e", furthest), len(different)
	if out.Pixels != out.Photographs || !(furthest < 1e-4) {
		t.Errorf(
			"got %d of %d pictures with Python's pixels, and an embedding that is %g off, want all and less than 1e-4",
			out.Pixels,
			out.Photographs,
			furthest,
		)
	}
	for _, d := range out.Other {
		if d.Gap > fullTie {
			t.Errorf(
				"%s, %s: got %v, want %v; the closest scores of Python are %g apart",
				d.Path,
				d.Rule,
				d.Got,
				d.Want,
				d.Gap,
			)
		}
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, report), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", b)
	for _, name := range []string{"decoder.ckpt", "decoder_state.pt"} { // the same weights in other forms
		c := open(name)
		some := want.Images[:min(batch, len(want.Images))]
		var again parity
		again.Equal = map[string]int{}
		features, _ := compareEmbeddings(t, c, some, prepareFull(t, c, some, &again))
		compareTokens(t, c, some, features, 3, &again)
		c.Close()
		if again.Equal["1.4.4, beam 3"] != out.beam3(some) {
			t.Errorf(
				"%s: got %d of %d captions as Python, want %d as of model.pt",
				name,
				again.Equal["1.4.4, beam 3"],
				len(some),
				out.beam3(some),
			)
		}
	}
}

// beam3 is how many of these were equal under a beam of three.
func (p parity) beam3(some []fullImage) int {
	n := len(some)
	for _, d := range p.Other {
		if d.Rule == "1.4.4, beam 3" && slices.ContainsFunc(some, func(i fullImage) bool { return i.Path == d.Path }) {
			n--
		}
	}
	return n
}

func prepareFull(t *testing.T, c *Captioner, some []fullImage, out *parity) []*image.RGB {
	t.Helper()
	var pictures []*image.RGB
	for _, img := range some {
		m, err := image.DecodeFile(filepath.Join("../../../shared/data", img.Path), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m = c.Prepare(m)
		sum := sha256.Sum256(m.Pix)
		if hex.EncodeToString(sum[:]) == img.Pixels {
			out.Pixels++
		}
		pictures = append(pictures, m)
	}
	return pictures
}

// compareEmbeddings gives our features, and their largest distance to Python's relative to the length of those.
func compareEmbeddings(
	t *testing.T,
	c *Captioner,
	some []fullImage,
	pictures []*image.RGB,
) (got [][]float32, worst float64) {
	t.Helper()
	got, err := c.Features(context.Background(), pictures)
	if err != nil {
		t.Fatal(err)
	}
	for i, img := range some {
		worst = max(worst, distance(got[i], img.embedding))
	}
	return got, worst
}

func compareTokens(t *testing.T, c *Captioner, some []fullImage, features [][]float32, beam int, out *parity) {
	t.Helper()
	o, rule := c.Defaults(), fmt.Sprintf("1.4.4, beam %d", beam)
	if o.Beam = beam; beam == 0 {
		rule, o.Beam = "1.2.0, greedy", 1
		o.Rule, o.TopK, o.Temperature = decode.ClipDecoderSample, 1, 1e-8
	}
	got, err := c.CaptionFeatures(context.Background(), features, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, img := range some {
		want, gap := img.Tokens[strconv.Itoa(beam)], img.Gaps[strconv.Itoa(beam)]
		if beam == 0 {
			want, gap = img.Greedy, img.Gaps["1"]
		}
		if g, w := inner(got[i].Tokens, o, false), inner(want, o, true); slices.Equal(g, w) {
			out.Equal[rule]++
		} else {
			out.Other = append(out.Other, difference{img.Path, rule, gap, g, w})
		}
	}
}

// inner are tokens without the begin token in front, if it is there, and the end token behind.
func inner(tokens []int32, o decode.Options, begin bool) []int32 {
	if begin {
		tokens = tokens[1:]
	}
	if n := len(tokens); n > 0 && tokens[n-1] == o.EOS {
		tokens = tokens[:n-1]
	}
	return tokens
}
