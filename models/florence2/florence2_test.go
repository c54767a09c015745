package florence2

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"captioner/models/davit"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

// layouts are the fixtures: one small model of Hugging Face under its names, and under those of Florence-2's authors.
var layouts = []string{"huggingface", "authors"}

// outside says whether a tensor of a fixture is none of the model's.
func outside(name string) bool {
	return strings.HasPrefix(name, "map.") || strings.HasPrefix(name, "want.")
}

// load makes the model of a fixture on dev.
func load(t *testing.T, src weights.Source, dev torch.Device) *Model {
	t.Helper()
	var config struct {
		Text    json.RawMessage `json:"text_config"`
		Vision  json.RawMessage `json:"vision_config"`
		ImageID *int32          `json:"image_token_id"`
	}
	if err := json.Unmarshal([]byte(src.Metadata()["config"]), &config); err != nil {
		t.Fatal(err)
	}
	tower, err := davit.ParseConfig(config.Vision)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig(config.Text, config.Vision, tower.Width(), config.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	view, err := Keys(src, false)
	if err != nil {
		t.Fatal(err)
	}
	c.LogitBias = weights.ShapesOf(view).Has("final_logits_bias")
	if err := c.matches(view, ""); err != nil {
		t.Fatal(err)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(view, nn.LoadOptions{Device: dev, Ignore: outside}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

// tower makes the vision encoder of a fixture.
func tower(t *testing.T, src weights.Source, dev torch.Device) *davit.Model {
	t.Helper()
	var config struct {
		Vision json.RawMessage `json:"vision_config"`
	}
	if err := json.Unmarshal([]byte(src.Metadata()["config"]), &config); err != nil {
		t.Fatal(err)
	}
	e, view, err := davit.Open(src)
	if err == nil {
		err = davit.Configure(&e, config.Vision)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := davit.New(e.Encoder.(davit.Config))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(view, nn.LoadOptions{Prefix: "encoder.", Device: dev}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

// image is the fixture's, normalized: [2, 3, 37, 37].
func image(t *testing.T, src weights.Source) *torch.Tensor {
	return torchtest.Get(t, src, "want.image").To(torch.Float32)
}

// The network as it is stored gives transformers' maps and logits, in both layouts.
func TestModelMatchesTransformers(t *testing.T) {
	for _, layout := range layouts {
		t.Run(layout, func(t *testing.T) {
			src := torchtest.Fixture(t, "testdata/"+layout+".safetensors")
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				vision, m := tower(t, src, dev), load(t, src, dev)
				defer vision.Free()
				defer m.Free()
				seen := map[string]bool{}
				see := func(name string, got *torch.Tensor) {
					if name = "map." + name; layout == "huggingface" && weights.ShapesOf(src).Has(name) {
						seen[name] = true
						torchtest.Close(t, name, got, torchtest.Get(t, src, name))
					}
				}
				vision.Trace, m.BART.Trace = see, see
				features := vision.Map(image(t, src).ToDevice(dev)).Flatten(1, 2)
				prompt := torchtest.Get(t, src, "want.prompt").ToDevice(dev)
				tokens := torchtest.Get(t, src, "want.tokens").ToDevice(dev)
				torchtest.Close(t, "logits", m.Logits(features, prompt, tokens), torchtest.Get(t, src, "want.logits"))
				if layout == "huggingface" {
					torchtest.Close(t, "read", m.Project(features), torchtest.Get(t, src, "want.read"))
					for _, name := range src.Names() {
						if strings.HasPrefix(name, "map.") && !seen[name] {
							t.Errorf("%s: not computed", name)
						}
					}
				}
			})
		})
	}
}

// The network prepared for inference gives transformers' maps and logits.
func TestDecoderMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/huggingface.safetensors")
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		vision, m := tower(t, src, dev), load(t, src, dev)
		e, d := vision.Encoder(torch.Float32), m.Decoder(torch.Float32)
		defer e.Free()
		defer d.Free()
		vision.Free()
		m.Free()
		seen := map[string]int64{}
		e.Trace = func(name string, got *torch.Tensor) {
			if weights.ShapesOf(src).Has("map." + name) { // of one image at a time on the CPU, of all on a GPU
				want := torchtest.Get(t, src, "map."+name).Narrow(0, seen[name], got.Dim(0))
				seen[name] += got.Dim(0)
				torchtest.Close(t, name, got, want)
			}
		}
		features := e.Map(image(t, src).ToDevice(dev))
		want := torchtest.Get(t, src, "want.logits")
		for i, logits := range steps(t, d, src, features, 0, 2) {
			torchtest.Close(t, fmt.Sprintf("logits of token %d", i), logits, want.Select(1, int64(i)))
		}
	})
}

// steps feeds the fixture's tokens for n of its images from the first on, and gives the logits of each step.
func steps(t *testing.T, d *Decoder, src weights.Source, features *torch.Tensor, first, n int64) []*torch.Tensor {
	t.Helper()
	var prompt []int32
	for _, id := range torch.Slice[int64](torchtest.Get(t, src, "want.prompt").Select(0, 0).Contiguous()) {
		prompt = append(prompt, int32(id))
	}
	tokens := torchtest.Get(t, src, "want.tokens")
	texts := family.Texts{Images: int(n), Rows: 1, Length: int(tokens.Dim(1)), Prompt: prompt}
	s, err := d.Start(features.Narrow(0, first, n), texts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	var out []*torch.Tensor
	var parents []int32
	for i := range tokens.Dim(1) {
		var fed []int32
		for _, id := range torch.Slice[int64](tokens.Narrow(0, first, n).Select(1, i).Contiguous()) {
			fed = append(fed, int32(id))
		}
		logits, err := s.Logits(parents, fed)
		if err != nil {
			t.Fatal(err)
		}
		out, parents = append(out, logits), parents[:0]
		for r := range int32(n) {
			parents = append(parents, r)
		}
	}
	return out
}

// What an image gets does not depend on the images beside it, not by one bit, in any type.
func TestDecoderDoesNotDependOnTheBatch(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/huggingface.safetensors")
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		t.Run(dtype.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				vision, m := tower(t, src, torch.CPU), load(t, src, torch.CPU)
				e, d := vision.Encoder(dtype), m.Decoder(dtype)
				defer e.Free()
				defer d.Free()
				vision.Free()
				m.Free()
				features := e.Map(image(t, src))
				alone := e.Map(image(t, src).Narrow(0, 1, 1))
				torchtest.CloseTo(t, "map", alone, features.Narrow(0, 1, 1), torchtest.Tolerance{})
				both, one := steps(t, d, src, features, 0, 2), steps(t, d, src, features, 1, 1)
				for i := range both {
					torchtest.CloseTo(t, "logits", one[i], both[i].Narrow(0, 1, 1), torchtest.Tolerance{})
				}
			})
		})
	}
}
