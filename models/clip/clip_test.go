package clip

import (
	"strconv"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// load makes the model of a fixture on dev, whatever its layout.
func load(t *testing.T, src weights.Source, dev torch.Device) *Model {
	t.Helper()
	view, err := Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ConfigOf(view)
	if err != nil {
		t.Fatal(err)
	}
	heads, err := strconv.ParseInt(src.Metadata()["heads"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if heads > 0 { // the fixtures' heads are narrower than those of published models
		c.Vision.Heads = heads
		if c.Text != nil {
			c.Text.Heads = heads
		}
	}
	c.QuickGELU = !strings.Contains(src.Metadata()["config"], `"gelu"`)
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(view, nn.LoadOptions{Device: dev}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

// compare is a trace that checks maps against the fixture and notes them in seen.
func compare(t *testing.T, src weights.Source, seen map[string]bool) func(string, *torch.Tensor) {
	return func(name string, got *torch.Tensor) {
		seen["map."+name] = true
		torchtest.Close(t, name, got, torchtest.Get(t, src, "map."+name))
	}
}

func checkSeen(t *testing.T, src weights.Source, seen map[string]bool) {
	t.Helper()
	for _, name := range src.Names() {
		if strings.HasPrefix(name, "map.") && !seen[name] {
			t.Errorf("%s: not computed", name)
		}
	}
}

// texts are the fixture's, without the zeros that fill their rows.
func texts(t *testing.T, src weights.Source) [][]int32 {
	t.Helper()
	var out [][]int32
	all := torchtest.Get(t, src, "text")
	ids, width := torch.Slice[int64](all), int(all.Dim(1))
	for len(ids) > 0 {
		var text []int32
		for _, id := range ids[:width] {
			if id != 0 {
				text = append(text, int32(id))
			}
		}
		out, ids = append(out, text), ids[width:]
	}
	return out
}

var fixtures = []string{"vit", "resnet", "huggingface"}

func TestModelMatchesPyTorch(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			src := torchtest.Fixture(t, "testdata/"+name+".safetensors")
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev)
				defer m.Free()
				seen := map[string]bool{}
				if name != "huggingface" {
					m.trace = compare(t, src, seen)
				}
				images := m.EncodeImage(torchtest.Get(t, src, "image").To(torch.Float32).ToDevice(dev))
				torchtest.Close(t, "image_features", images, torchtest.Get(t, src, "image_features"))
				if m.Text != nil {
					texts, err := m.EncodeText(texts(t, src))
					if err != nil {
						t.Fatal(err)
					}
					torchtest.Close(t, "text_features", texts, torchtest.Get(t, src, "text_features"))
					torchtest.Close(t, "logits", m.Logits(images, texts), torchtest.Get(t, src, "logits_per_image"))
				}
				checkSeen(t, src, seen)
			})
		})
	}
}

// checkTokens compares every form of tokens that the fixture and the model have, and their shapes with what the
// configuration says.
func checkTokens(
	t *testing.T,
	src weights.Source,
	c Config,
	tokens func(Form) (*torch.Tensor, error),
	close func(string, *torch.Tensor, *torch.Tensor),
) {
	t.Helper()
	for _, f := range []Form{Raw, Normed, Projected} {
		n, width, err := c.Tokens(f)
		got, err2 := tokens(f)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("tokens %q: got %v, configuration %v", f, err2, err)
		}
		if err != nil {
			continue
		}
		if got.Dim(1) != n || got.Dim(2) != width {
			t.Errorf("tokens %q: got shape %v, want %d of width %d", f, got.Shape(), n, width)
		}
		if want, err := src.Tensor("tokens." + string(f)); err == nil {
			close("tokens."+string(f), got, torch.FromNamed(want, false))
		}
	}
}

func TestTokensMatchPyTorch(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			src := torchtest.Fixture(t, "testdata/"+name+".safetensors")
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev)
				defer m.Free()
				x := torchtest.Get(t, src, "image").To(torch.Float32).ToDevice(dev)
				checkTokens(t, src, m.Config, func(f Form) (*torch.Tensor, error) { return m.Tokens(x, f) },
					func(name string, got, want *torch.Tensor) { torchtest.Close(t, name, got, want) })
			})
		})
	}
}

func TestEncoderMatchesPyTorch(t *testing.T) {
	for _, name := range fixtures {
		for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
			t.Run(name+"/"+d.String(), func(t *testing.T) {
				src := torchtest.Fixture(t, "testdata/"+name+".safetensors")
				torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
					m := load(t, src, dev)
					e := m.Encoder(d)
					defer e.Free()
					m.Free()
					close := func(name string, got, want *torch.Tensor) {
						t.Helper()
						torchtest.CloseIn(t, d, .03, name, got, want)
					}
					if name != "huggingface" {
						e.trace = func(name string, got *torch.Tensor) { close(name, got, torchtest.Get(t, src, "map."+name)) }
					}
					x := torchtest.Get(t, src, "image").To(torch.Float32).ToDevice(dev)
					close("image_features", e.EncodeImage(x), torchtest.Get(t, src, "image_features"))
					checkTokens(t, src, e.Config, func(f Form) (*torch.Tensor, error) { return e.Tokens(x, f) }, close)
				})
			})
		}
	}
}

// The features of an image must not depend on the batch that it comes in, not by one bit: captions are compared with
// ==.
func TestEncoderDoesNotDependOnTheBatch(t *testing.T) {
	big := ViTB32().WithoutText() // the widths of a published model, for oneDNN chooses its kernels by them
	big.Vision.Layers, big.Vision.ImageSize = 1, 96
	small := RN50().WithoutText()
	small.Vision.Stages, small.Vision.ImageSize, small.Vision.Width, small.Vision.Heads = []int{1, 1, 1, 1}, 64, 32, 16
	for name, c := range map[string]Config{"vit": big, "resnet": small} {
		for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
			t.Run(name+"/"+d.String(), func(t *testing.T) {
				torchtest.Do(t, func() {
					m, err := New(c)
					if err != nil {
						t.Fatal(err)
					}
					randomise(m)
					e := m.Encoder(d)
					defer e.Free()
					m.Free()
					x := torch.Randn(torch.Float32, torch.CPU, 19, 3, c.Vision.ImageSize, c.Vision.ImageSize)
					whole := e.EncodeImage(x)
					for _, batch := range []int64{1, 3, 4, 17} {
						for from := int64(0); from+batch <= x.Dim(0); from += batch {
							torchtest.CloseTo(
								t,
								"features",
								e.EncodeImage(x.Narrow(0, from, batch)),
								whole.Narrow(0, from, batch),
								torchtest.Tolerance{},
							)
						}
					}
				})
			})
		}
	}
}
