package gpt2

import (
	"context"
	"slices"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
)

// A token of a new vocabulary starts from the mean of the old tokens that it stands for, and all else stays.
func TestRespell(t *testing.T) {
	before := torch.Live()
	err := torch.Do(context.Background(), func() error {
		m, err := New(Config{VocabSize: 3, Positions: 4, Width: 2, Layers: 1, Heads: 1, Activation: "gelu_new",
			Epsilon: 1e-5, InitRange: .02})
		if err != nil {
			return err
		}
		defer m.Free()
		m.Init()
		torch.NoGrad(func() { m.Transformer.Tokens.Weight.Copy(torch.FromSlice([]float32{1, 2, 3, 4, 5, 8}, 3, 2)) })
		m.Respell([][]int32{{2}, {0, 1}, {1}, {0, 0, 1, 2}})
		got := torch.Slice[float32](m.Transformer.Tokens.Weight)
		if want := []float32{5, 8, 2, 3, 3, 4, 2.5, 4}; !slices.Equal(got, want) {
			t.Errorf("got the embeddings %v, want %v", got, want)
		}
		if m.Config.VocabSize != 4 {
			t.Errorf("got a vocabulary of %d, want 4", m.Config.VocabSize)
		}
		if n := len(nn.Trainable(m)); n == 0 {
			t.Error("nothing of the model can be learned")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := torch.Live(); after != before {
		t.Errorf("live tensors: got %d, %d before", after, before)
	}
}
