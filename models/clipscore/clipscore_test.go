package clipscore

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/safetensors"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

// embedding is the fixture's table of tokens, which follows from a formula.
func embedding(vocab, width int) weights.NamedTensor {
	b := make([]byte, 0, vocab*width*4)
	for i := range vocab {
		for j := range width {
			v := float32((i*7919+j*104729+i*j*31)%1001-500) / 500
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return weights.NamedTensor{
		Name:  "token_embedding.weight",
		DType: weights.F32,
		Shape: []int64{int64(vocab), int64(width)},
		Data:  b,
	}
}

// checkpoint writes the fixture's model as a file, without the tensors that leave tells.
func checkpoint(t *testing.T, src weights.Source, vocab int, leave func(string) bool) string {
	t.Helper()
	tensors := []weights.NamedTensor{embedding(vocab, 32)}
	for _, name := range src.Names() {
		own, ok := strings.CutPrefix(name, "model.")
		if !ok || leave != nil && leave(own) {
			continue
		}
		x, err := src.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		x.Name = own
		tensors = append(tensors, x)
	}
	if leave != nil && leave(tensors[0].Name) {
		tensors = tensors[1:]
	}
	path := filepath.Join(t.TempDir(), "clip.safetensors")
	if err := safetensors.WriteFile(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func floats(t *testing.T, src weights.Source, name string) (v []float32) {
	t.Helper()
	torchtest.Do(t, func() { v = torch.Slice[float32](torchtest.Get(t, src, name)) })
	return v
}

func near(t *testing.T, name string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 2e-6) {
		t.Errorf("%s: got %v, want %v", name, got, want)
	}
}

func TestScoresMatchReference(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/clipscore.safetensors")
	live := torch.Live()
	heads := &encoder.Heads{Of: map[encoder.Part]int64{encoder.TextPart: 1}}
	m, err := Open(checkpoint(t, src, 49408, nil), Options{Device: "cpu", Heads: heads})
	if err != nil {
		t.Fatal(err)
	}
	var captions []string
	var references [][]string
	for key, into := range map[string]any{"captions": &captions, "references": &references} {
		if err := json.Unmarshal([]byte(src.Metadata()[key]), into); err != nil {
			t.Fatal(err)
		}
	}
	var pictures []*image.RGB
	for i := range captions {
		x, err := src.Tensor("picture." + string(rune('0'+i)))
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, m.Prepare(&image.RGB{Pix: x.Data, W: int(x.Shape[1]), H: int(x.Shape[0])}))
	}
	ctx := t.Context()
	seen, err := m.Images(ctx, pictures)
	if err != nil {
		t.Fatal(err)
	}
	said, err := m.Texts(ctx, captions)
	if err != nil {
		t.Fatal(err)
	}
	for name, rows := range map[string][][]float32{"image": seen, "text": said} {
		want := floats(t, src, name)
		for _, row := range rows {
			for _, v := range row {
				near(t, name, float64(v), float64(want[0]))
				want = want[1:]
			}
		}
	}
	scores, refScores := floats(t, src, "clipscore"), floats(t, src, "refclipscore")
	for i := range captions {
		refs, err := m.Texts(ctx, references[i])
		if err != nil {
			t.Fatal(err)
		}
		near(t, "CLIPScore", Score(seen[i], said[i]), float64(scores[i]))
		near(t, "RefCLIPScore", RefScore(seen[i], said[i], refs), float64(refScores[i]))
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if n := torch.Live(); n != live {
		t.Errorf("live tensors: got %d, want %d as before", n, live)
	}
}

func TestOpenRefuses(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/clipscore.safetensors")
	picture := func(name string) bool { return !strings.HasPrefix(name, "visual.") }
	for _, tt := range []struct{ name, path, want string }{
		{"no text tower", checkpoint(t, src, 49408, picture), "image tower alone"},
		{"other words", checkpoint(t, src, 60, nil), "vocabulary of 60, want OpenAI's 49408"},
		{"no CLIP", "testdata/../clipscore.go", "neither safetensors nor PyTorch's"},
		{"no file", "nowhere.pt", "no such file"},
	} {
		live := torch.Live()
		if _, err := Open(tt.path, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) ||
			!strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
		if n := torch.Live(); n != live {
			t.Errorf("%s: live tensors: got %d, want %d", tt.name, n, live)
		}
	}
}
