package coca

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"captioner/models/clip"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

// fixtures are small models of open_clip: with an image tower of another width than the text's, and of the same.
var fixtures = []string{"testdata/coca.safetensors", "testdata/joined.safetensors"}

// model is the checkpoint in a fixture, without what is wanted of it.
func model(t *testing.T, src weights.Source) weights.Source {
	t.Helper()
	out, err := weights.Rename(src, func(n string) (string, bool) { return n, !strings.HasPrefix(n, "want.") })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// load makes the decoder and the image tower of a fixture in type d.
func load(t *testing.T, src weights.Source, dev torch.Device, d torch.DType) (*Decoder, *clip.Encoder) {
	t.Helper()
	view, err := Keys(model(t, src))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ConfigOf(view)
	if err != nil {
		t.Fatal(err)
	}
	c.Text.Heads, c.Multimodal.Heads, c.Pooler = 2, 2, 4
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Load(view, nn.LoadOptions{Device: dev}); err != nil {
		t.Fatal(err)
	}
	vision, tensors, err := imageTower(model(t, src))
	if err != nil {
		t.Fatal(err)
	}
	vision.Vision.Heads = vision.Vision.Width / 8
	tower, err := clip.New(vision)
	if err != nil {
		t.Fatal(err)
	}
	defer tower.Free()
	if err := tower.Load(tensors, nn.LoadOptions{Device: dev, Prefix: encoder.Prefix}); err != nil {
		t.Fatal(err)
	}
	return m.Decoder(d), tower.Encoder(d)
}

func TestMatchesOpenCLIP(t *testing.T) {
	for _, path := range fixtures {
		src := torchtest.Fixture(t, path)
		torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
			d, vision := load(t, src, dev, torch.Float32)
			defer d.Free()
			defer vision.Free()
			tokens, err := vision.Tokens(torchtest.Get(t, src, "want.image").To(torch.Float32).ToDevice(dev), clip.Raw)
			if err != nil {
				t.Fatal(err)
			}
			torchtest.Close(t, path+": image tokens", tokens, torchtest.Get(t, src, "want.tokens"))
			torchtest.Close(t, path+": pooled", d.Pool(tokens), torchtest.Get(t, src, "want.pooled"))
			text, want := torchtest.Get(t, src, "want.text"), torchtest.Get(t, src, "want.logits")
			images := int(text.Dim(0))
			s, err := d.Start(tokens, images, 1, int(text.Dim(1)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Free()
			var parents []int32
			for at := range text.Dim(1) {
				var fed []int32
				for _, id := range torch.Slice[int64](text.Select(1, at).Contiguous()) {
					fed = append(fed, int32(id))
				}
				got, err := s.Logits(parents, fed)
				if err != nil {
					t.Fatal(err)
				}
				torchtest.Close(t, fmt.Sprintf("%s: logits behind token %d", path, at), got, want.Select(1, at))
				parents = nil
				for r := range int32(images) {
					parents = append(parents, r)
				}
			}
		})
	}
}

// setting is a call of open_clip's generate.
type setting struct {
	Beams  int    `json:"num_beams"`
	Groups int    `json:"num_beam_groups"`
	Type   string `json:"generation_type"`
}

// options are those of this program that do the same.
func (s setting) options(length, least int) decode.Options {
	o := decode.Options{Rule: decode.CoCa, Beam: 2, MaxLen: length - 1, MinLen: least - 1, Captions: 1, Groups: 1,
		BOS: 88, EOS: 89}
	switch {
	case s.Type != "":
		o.Beam = 1
	case s.Beams > 0:
		o.Beam = s.Beams / s.Groups
	}
	return o
}

func TestGeneratesAsOpenCLIP(t *testing.T) {
	for _, path := range fixtures {
		src := torchtest.Fixture(t, path)
		var settings []setting
		var lengths map[string]int
		for key, to := range map[string]any{"settings": &settings, "lengths": &lengths} {
			if err := json.Unmarshal([]byte(src.Metadata()[key]), to); err != nil {
				t.Fatal(err)
			}
		}
		torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
			d, vision := load(t, src, dev, torch.Float32)
			defer d.Free()
			defer vision.Free()
			tokens, err := vision.Tokens(torchtest.Get(t, src, "want.image").To(torch.Float32).ToDevice(dev), clip.Raw)
			if err != nil {
				t.Fatal(err)
			}
			for n, s := range settings {
				o := s.options(lengths["seq_len"], lengths["min_seq_len"])
				got, err := family.Search(writer{d}, tokens, int(tokens.Dim(0)), o)
				if err != nil {
					t.Fatal(err)
				}
				want := torchtest.Get(t, src, fmt.Sprintf("want.generated.%d", n))
				for i, h := range got {
					var ids []int32
					for _, id := range torch.Slice[int64](want.Select(0, int64(i)).Contiguous())[1:] {
						if id == 89 || id < 0 {
							break
						}
						ids = append(ids, int32(id))
					}
					if s.Type != "" { // padded behind the end, which a padding token is too
						if at := slices.Index(ids, cut); at >= 0 {
							ids = ids[:at+1]
						}
					}
					if !slices.Equal(h[0].Tokens, ids) {
						t.Errorf("%s, %+v, image %d: got %v, want %v", path, s, i, h[0].Tokens, ids)
					}
				}
			}
		})
	}
}

// cut is the padding token.
const cut = 0

// A row's logits are the same bits whatever images stand beside it, also where a text may not look at all its tokens.
func TestDoesNotDependOnTheBatch(t *testing.T) {
	src := torchtest.Fixture(t, fixtures[0])
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		t.Run(dtype.String(), func(t *testing.T) {
			if !torch.HasPanels(torch.Float32) {
				t.Skip("no kernels of our own for this processor")
			}
			torchtest.Do(t, func() {
				d, vision := load(t, src, torch.CPU, dtype)
				defer d.Free()
				defer vision.Free()
				tokens, err := vision.Tokens(torchtest.Get(t, src, "want.image").To(torch.Float32), clip.Raw)
				if err != nil {
					t.Fatal(err)
				}
				run := func(from, n int64) *torch.Tensor { // [n, V] behind three tokens
					s, err := d.Start(tokens.Narrow(0, from, n), int(n), 1, 3)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Free()
					var out *torch.Tensor
					var parents []int32
					for step := range 3 {
						fed := make([]int32, n)
						for i := range fed {
							fed[i] = (int32(step) + int32(from) + int32(i)) % 3 // some of them padding
						}
						if out, err = s.Logits(parents, fed); err != nil {
							t.Fatal(err)
						}
						parents = parents[:0]
						for i := range int32(n) {
							parents = append(parents, i)
						}
					}
					return out
				}
				all := run(0, 7)
				for _, part := range [][2]int64{{0, 1}, {2, 3}, {6, 1}} {
					got, want := run(part[0], part[1]), all.Narrow(0, part[0], part[1])
					torchtest.CloseTo(t, fmt.Sprint(part), got, want, torchtest.Tolerance{})
				}
			})
		})
	}
}
