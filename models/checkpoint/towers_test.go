package checkpoint

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/formats"
)

// text is a folder of text files by their names.
type text map[string]string

func (t text) Read(name string) ([]byte, error) {
	b, ok := t[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(b), nil
}

// published is a fixture of scripts/fixtures/towers.py without what is wanted of it.
func published(t *testing.T, src weights.Source) weights.Source {
	t.Helper()
	view, err := weights.Rename(src, func(name string) (string, bool) { return name, !strings.HasPrefix(name, "want.") })
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// towers are the fixtures, and what is to be found in them.
var towers = []struct {
	path, architecture, key string
	lead                    int64 // tokens before those of the patches
}{
	{"siglip/testdata/whole", "SigLIP of 2 layers, width 48, patches of 16, images of 32", "siglip", 0},
	{"siglip/testdata/odd", "SigLIP of 1 layer, width 72, patches of 8, images of 34", "siglip", 0},
	{"siglip/testdata/other", "SigLIP of 1 layer, width 48, patches of 16, images of 32", "siglip", 0},
	{"dinov2/testdata/plain", "DINOv2 of 2 layers, width 48, patches of 4", "dinov2", 1},
	{"dinov2/testdata/registers", "DINOv2 of 2 layers, width 48, patches of 4 with 4 registers", "dinov2", 5},
	{"dinov2/testdata/gated", "DINOv2 of 2 layers, width 48, patches of 4", "dinov2", 1},
	{"dinov2/testdata/gatedregisters", "DINOv2 of 2 layers, width 48, patches of 4 with 3 registers", "dinov2", 4},
	{"dinov2/testdata/classifier", "DINOv2 of 2 layers, width 48, patches of 4", "dinov2", 1},
	{"vit/testdata/deit", "DeiT of 2 layers, width 48, patches of 16, pictures of 32", "vit", 2},
	{"vit/testdata/deitclassifier", "DeiT of 2 layers, width 48, patches of 16, pictures of 32", "vit", 2},
	{"swin/testdata/plain", "Swin of 4 layers in 2 stages, width 16, patches of 4, windows of 4", "swin", 0},
	{"swin/testdata/classifier", "Swin of 6 layers in 3 stages, width 8, patches of 2, windows of 3", "swin", 0},
	{"beit/testdata/layers", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
	{"beit/testdata/shared", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
	{"beit/testdata/positions", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
	{"beit/testdata/all", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
	{"beit/testdata/none", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
	{"beit/testdata/masked", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
	{"beit/testdata/classifier", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
	{"beit/testdata/data2vec", "BEiT of 2 layers, width 48, patches of 8", "beit", 1},
}

// Tokens are Hugging Face's last_hidden_state: in float32 within the table's tolerance, in other types nearly.
func TestTowersMatchTransformers(t *testing.T) {
	for _, c := range towers {
		t.Run(c.path, func(t *testing.T) {
			src := torchtest.Fixture(t, "../"+c.path+".safetensors")
			beside := text{"config.json": src.Metadata()["config"]}
			e, named, err := Known().Encoders.Open(published(t, src), beside, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			if e.Architecture != c.architecture || e.Encoder.Key() != c.key {
				t.Errorf("got %s of key %q, want %s of key %q", e.Architecture, e.Encoder.Key(), c.architecture, c.key)
			}
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
					if d == torch.Int8 && dev != torch.CPU {
						continue
					}
					network, err := e.Encoder.Load(named, nn.LoadOptions{Prefix: encoder.Prefix, Device: dev}, d)
					if err != nil {
						t.Fatal(err)
					}
					for _, name := range src.Names() {
						if side, ok := strings.CutPrefix(name, "want.image."); ok {
							compareTokens(t, e, network, src, side, c.lead, dev, d)
						}
					}
					network.Free()
				}
			})
		})
	}
}

// compareTokens looks at all tokens of a fixture's images of one side, and at those of the patches.
func compareTokens(t *testing.T, e encoder.Config, network encoder.Network, src weights.Source, side string, lead int64,
	dev torch.Device, d torch.DType) {
	t.Helper()
	x := torchtest.Get(t, src, "want.image."+side).To(torch.Float32).ToDevice(dev)
	want := torchtest.Get(t, src, "want.tokens."+side) // [B, T, C]
	e.Preprocess.Size, e.Preprocess.Resize = int(x.Dim(3)), 0
	for _, kind := range []string{encoder.Tokens, encoder.Grid} {
		want, name := want, fmt.Sprintf("%v: %s of side %s", d, kind, side)
		if kind == encoder.Grid {
			want = want.Narrow(1, lead, want.Dim(1)-lead)
		}
		m, err := encoder.NewMemory(e, kind, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := network.Features(x, m)
		if positions, width := m.Shape(); positions != got.Dim(1) || width != got.Dim(2) {
			t.Errorf("%s: got features of shape %v, want %d positions of %d as the memory says", name, got.Shape(),
				positions, width)
		}
		torchtest.CloseIn(t, d, .05, name, got, want)
	}
}

// The bytes before normalization are those of Hugging Face's processors, whose settings stand beside the weights.
func TestTowersTakePixelsOfTransformers(t *testing.T) {
	for _, c := range []struct{ pixels, tower, processor string }{
		{"siglip/testdata/pixels", "siglip/testdata/whole", "siglip"},
		{"siglip/testdata/pixels", "siglip/testdata/whole", "siglip2"},
		{"dinov2/testdata/pixels", "dinov2/testdata/plain", "dinov2"},
		{"vit/testdata/deitpixels", "vit/testdata/deit", "deit"},
		{"beit/testdata/pixels", "beit/testdata/layers", "beit"},
	} {
		t.Run(c.processor, func(t *testing.T) {
			src := torchtest.Fixture(t, "../"+c.pixels+".safetensors")
			var settings map[string]map[string]any
			if err := json.Unmarshal([]byte(src.Metadata()["settings"]), &settings); err != nil {
				t.Fatal(err)
			}
			p := preprocessOf(t, c.tower, settings[c.processor])
			seen := 0
			for _, name := range src.Names() {
				photograph, ok := strings.CutPrefix(name, c.processor+":")
				if !ok {
					continue
				}
				seen++
				want, err := src.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				img, err := image.DecodeFile("../../"+photograph, image.DefaultOptions())
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Apply(img).Pix; !slices.Equal(got, want.Data) {
					t.Errorf("%s: pixels differ: got %v…, want %v…", photograph, got[:6], want.Data[:6])
				}
			}
			if seen == 0 {
				t.Error("no photograph was compared")
			}
		})
	}
}

// preprocessOf is what a tower does to images with the settings of a processor, whose sizes it takes for its own.
func preprocessOf(t *testing.T, tower string, settings map[string]any) image.Preprocess {
	t.Helper()
	src := torchtest.Fixture(t, "../"+tower+".safetensors")
	e, _, err := Known().Encoders.Open(published(t, src), nil, false, &encoder.Heads{Any: 3})
	if err != nil {
		t.Fatal(err)
	}
	middle := settings["size"].(map[string]any)["height"]
	if crop, ok := settings["crop_size"].(map[string]any); ok {
		middle = crop["height"]
	}
	e.Preprocess.Size = int(middle.(float64))
	b, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ReadProcessor(text{"preprocessor_config.json": string(b)}); err != nil {
		t.Fatal(err)
	}
	if err := e.Preprocess.Validate(); err != nil {
		t.Fatal(err)
	}
	return e.Preprocess
}

// CAPTIONER_TOWERS names the folder that "scripts/fixtures/towers.py FOLDER" wrote: towers of published sizes.
func TestFullSizeTowers(t *testing.T) {
	dir := os.Getenv("CAPTIONER_TOWERS")
	folders, _ := filepath.Glob(filepath.Join(dir, "*", "config.json"))
	if dir == "" || len(folders) == 0 {
		t.Skip("CAPTIONER_TOWERS names no folder that scripts/fixtures/towers.py FOLDER made")
	}
	for _, config := range folders {
		folder := filepath.Dir(config)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			want, err := formats.Open(filepath.Join(folder, "want.bin"))
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			p, err := OpenEncoder(folder)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			m, err := encoder.NewMemory(p.Config, encoder.Tokens, 0)
			if err != nil {
				t.Fatal(err)
			}
			torchtest.Do(t, func() {
				x, tokens := torchtest.Get(t, want, "image"), torchtest.Get(t, want, "tokens")
				for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
					network, err := p.Config.Encoder.Load(p.Source(), nn.LoadOptions{Prefix: encoder.Prefix}, d)
					if err != nil {
						t.Fatal(err)
					}
					got := network.Features(x, m)
					off := got.Sub(tokens).Abs()
					t.Logf("%s in %v: relative distance %.3g, largest difference %.3g of %.3g", p.Config.Architecture, d,
						torchtest.NormDistance(got, tokens), slices.Max(torch.Slice[float32](off)),
						slices.Max(torch.Slice[float32](tokens.Abs())))
					if d == torch.Float32 && !(torchtest.NormDistance(got, tokens) < 1e-4) {
						t.Error("want a relative distance below 1e-4 in float32")
					}
					network.Free()
				}
			})
		})
	}
}
