package blip

import (
	"errors"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// loadText makes the text decoder of the fixture on dev: Hugging Face's BlipTextLMHeadModel.
func loadText(t *testing.T, src weights.Source, dev torch.Device) *TextDecoder {
	t.Helper()
	c, err := ParseTextConfig([]byte(src.Metadata()["config"]))
	if err != nil {
		t.Fatal(err)
	}
	view, err := TextKeys(src)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewTextDecoder(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(view, nn.LoadOptions{Device: dev}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

func TestTextDecoderMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/text.safetensors")
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := loadText(t, src, dev)
		defer m.Free()
		seen := map[string]bool{}
		m.BERT.Trace = func(name string, got *torch.Tensor) {
			seen["map."+name] = true
			torchtest.Close(t, name, got, torchtest.Get(t, src, "map."+name))
		}
		memory := torchtest.Get(t, src, "want.memory").To(torch.Float32).ToDevice(dev)
		tokens := torchtest.Get(t, src, "want.tokens").ToDevice(dev)
		torchtest.Close(t, "logits", m.Logits(tokens, memory), torchtest.Get(t, src, "want.logits"))
		for _, name := range src.Names() {
			if strings.HasPrefix(name, "map.") && !seen[name] {
				t.Errorf("%s: not computed", name)
			}
		}
	})
}

// The texts of the fixture, a token a step, give the logits of the whole texts.
func TestSessionMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/text.safetensors")
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := loadText(t, src, dev)
		d := m.Decoder(torch.Float32)
		defer d.Free()
		defer m.Free()
		s, err := d.Start(torchtest.Get(t, src, "want.memory").To(torch.Float32).ToDevice(dev), 2, 1, 9)
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
			torchtest.Close(t, "logits", got, logits.Select(1, step))
			parents = []int32{0, 1}
		}
	})
}

func TestTextDecoderRefuses(t *testing.T) {
	for _, text := range []string{
		`{"position_embedding_type": "relative_key"}`, `{"hidden_act": "relu"}`, `{"num_attention_heads": 7}`,
		`{"encoder_hidden_size": 0}`, `{"layer_norm_eps": 0}`, `[]`,
	} {
		if _, err := ParseTextConfig([]byte(text)); err == nil {
			t.Errorf("%s: got no error", text)
		}
	}
	src := torchtest.Fixture(t, "testdata/text.safetensors")
	torchtest.Do(t, func() {
		c, err := ParseTextConfig([]byte(src.Metadata()["config"]))
		if err != nil {
			t.Fatal(err)
		}
		c.Layers = 1
		m, err := NewTextDecoder(c.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		view, err := TextKeys(src)
		if err != nil {
			t.Fatal(err)
		}
		var bad *weights.KeyError
		if err := m.Load(view, nn.LoadOptions{}); !errors.As(err, &bad) || len(bad.Unexpected) != 26 {
			t.Errorf("load with a layer too many: got %v", err)
		}
	})
	if _, err := TextKeys(memory(t, nil)); err == nil || !strings.Contains(err.Error(), "text_decoder.") {
		t.Errorf("keys of nothing: got %v", err)
	}
}
