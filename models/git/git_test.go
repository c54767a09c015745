package git

import (
	"strings"
	"testing"

	"captioner/models/clip"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

const fixture = "testdata/git.safetensors"

// load makes the model of the fixture on dev: Hugging Face's GitForCausalLM.
func load(t *testing.T, src weights.Source, dev torch.Device) *Model {
	t.Helper()
	c, err := ParseConfig([]byte(src.Metadata()["config"]))
	if err != nil {
		t.Fatal(err)
	}
	view, err := TextKeys(src)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(c.Text)
	if err != nil {
		t.Fatal(err)
	}
	ignore := func(name string) bool { return strings.HasPrefix(name, "map.") || strings.HasPrefix(name, "want.") }
	if err := m.Load(view, nn.LoadOptions{Device: dev, Ignore: ignore}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

func TestModelMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := load(t, src, dev)
		defer m.Free()
		seen := map[string]bool{}
		m.BERT.Trace = func(name string, got *torch.Tensor) {
			if name == "embeddings" {
				return // of the text alone; the reference's hook has image and text
			}
			seen["map."+name] = true
			torchtest.Close(t, name, got, torchtest.Get(t, src, "map."+name))
		}
		prefix := m.Prefix(torchtest.Get(t, src, "want.features").ToDevice(dev))
		torchtest.Close(t, "prefix", prefix, torchtest.Get(t, src, "want.prefix"))
		tokens := torchtest.Get(t, src, "want.tokens").ToDevice(dev)
		want := torchtest.Get(t, src, "want.logits")
		torchtest.Close(t, "logits", m.Logits(tokens, prefix), want.Narrow(1, prefix.Dim(1), 9))
		for _, name := range src.Names() {
			if strings.HasPrefix(name, "map.") && !seen[name] {
				t.Errorf("%s: not computed", name)
			}
		}
	})
}

func TestVisionTowerMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		c, err := ParseConfig([]byte(src.Metadata()["config"]))
		if err != nil {
			t.Fatal(err)
		}
		view, err := clip.Keys(src)
		if err != nil {
			t.Fatal(err)
		}
		m, err := clip.New(c.Vision)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		if err := m.Load(view, nn.LoadOptions{Device: dev}); err != nil {
			t.Fatal(err)
		}
		e := m.Encoder(torch.Float32)
		defer e.Free()
		got, err := e.Tokens(torchtest.Get(t, src, "want.image").To(torch.Float32).ToDevice(dev), clip.Normed)
		if err != nil {
			t.Fatal(err)
		}
		torchtest.Close(t, "features", got, torchtest.Get(t, src, "want.features"))
	})
}

// The texts of the fixture, a token a step, give the logits of the whole texts.
func TestSessionMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := load(t, src, dev)
		d := m.Decoder(torch.Float32)
		defer d.Free()
		defer m.Free()
		s, err := d.Start(torchtest.Get(t, src, "want.features").ToDevice(dev), 2, 1, 9)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Free()
		logits, tokens := torchtest.Get(t, src, "want.logits"), torch.Slice[int64](torchtest.Get(t, src, "want.tokens"))
		var parents []int32
		for step := range int64(9) {
			got, err := s.Logits(parents, []int32{int32(tokens[step]), int32(tokens[9+step])})
			if err != nil {
				t.Fatal(err)
			}
			torchtest.Close(t, "logits", got, logits.Select(1, logits.Dim(1)-9+step))
			parents = []int32{0, 1}
		}
	})
}

func TestConfigRefuses(t *testing.T) {
	for _, text := range []string{
		`{"num_image_with_embedding": 6}`, `{"position_embedding_type": "relative_key"}`, `{"hidden_act": "relu"}`,
		`{"vision_config": {"hidden_act": "relu"}}`, `{"vision_config": {"num_channels": 1}}`, `{"hidden_size": 0}`, `[]`,
	} {
		if _, err := ParseConfig([]byte(text)); err == nil {
			t.Errorf("%s: got no error", text)
		}
	}
}
