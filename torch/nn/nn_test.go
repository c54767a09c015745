package nn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

type mlp struct {
	In    nn.Linear      `key:"c_fc"`
	Norm  nn.BatchNorm2d `key:"norm"`
	Extra *nn.Linear     `key:"extra"`
	Note  string
}

type model struct {
	Blocks []mlp         `key:"h"`
	Table  *torch.Tensor `key:"table"`
}

func newModel() *model {
	m := &model{Table: torch.Empty(torch.Float32, torch.CPU, 3).Keep()}
	for range 2 {
		m.Blocks = append(m.Blocks, mlp{In: nn.NewLinear(2, 4, true), Norm: nn.NewBatchNorm2d(1, 1e-5)})
	}
	return m
}

func names(m any) (out []string) {
	for _, p := range nn.State(m) {
		s := p.Name
		if p.Buffer {
			s += " (buffer)"
		}
		out = append(out, s)
	}
	return out
}

func TestStateFollowsTheTags(t *testing.T) {
	torchtest.Do(t, func() {
		m := newModel()
		defer nn.Free(m)
		want := []string{
			"h.0.c_fc.weight",
			"h.0.c_fc.bias",
			"h.0.norm.weight",
			"h.0.norm.bias",
			"h.0.norm.running_mean (buffer)",
			"h.0.norm.running_var (buffer)",
			"h.1.c_fc.weight",
			"h.1.c_fc.bias",
			"h.1.norm.weight",
			"h.1.norm.bias",
			"h.1.norm.running_mean (buffer)",
			"h.1.norm.running_var (buffer)",
			"table",
		}
		if got := names(m); !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		if got := nn.Count(m); got != 2*(8+4+2)+3 {
			t.Errorf("count: got %d, want %d", got, 2*(8+4+2)+3)
		}
		if got := len(nn.Trainable(m)); got != 9 {
			t.Errorf("trainable: got %d, want 9", got)
		}
	})
}

func TestSaveAndLoad(t *testing.T) {
	torchtest.Do(t, func() {
		a, b := newModel(), newModel()
		defer nn.Free(a)
		defer nn.Free(b)
		torch.Seed(1)
		for _, p := range nn.State(a) {
			nn.Normal(p.Tensor, 1)
		}
		src, err := weights.NewMemory(nn.Save(a, "model"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := nn.Load(b, src, nn.LoadOptions{Prefix: "model."}); err != nil {
			t.Fatal(err)
		}
		as, bs := nn.State(a), nn.State(b)
		for i := range as {
			torchtest.Close(t, as[i].Name, bs[i].Tensor, as[i].Tensor)
		}
	})
}

func TestLoadReportsEverythingAndChangesNothing(t *testing.T) {
	torchtest.Do(t, func() {
		m := newModel()
		defer nn.Free(m)
		stored := nn.Save(m, "")
		stored[0].Shape = []int64{2, 4}     // misshaped
		stored[1].Name = "h.0.c_fc.unknown" // missing and unexpected
		src, err := weights.NewMemory(stored, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := m.Blocks[1].In.Weight
		err = nn.Load(m, src, nn.LoadOptions{})
		var key *weights.KeyError
		if !errors.As(err, &key) {
			t.Fatalf("got %v, want a KeyError", err)
		}
		if fmt.Sprint(key.Missing, key.Unexpected, len(key.Misshaped)) != "[h.0.c_fc.bias] [h.0.c_fc.unknown] 1" ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
		if m.Blocks[1].In.Weight != before || before.Freed() {
			t.Error("a failed load changed the model")
		}
	})
}

func TestLoadConvertsAndOwns(t *testing.T) {
	torchtest.Do(t, func() {
		m := &model{Table: torch.Empty(torch.Float32, torch.CPU, 3).Keep()}
		defer nn.Free(m)
		half, err := weights.FromFloat32s("table", weights.F16, []int64{3}, []float32{1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		src, _ := weights.NewMemory([]weights.NamedTensor{half}, nil)
		if err := nn.Load(m, src, nn.LoadOptions{Own: true}); err != nil {
			t.Fatal(err)
		}
		nn.Constant(m.Table, 7)
		if again, _ := src.Tensor("table"); again.Data[1] != half.Data[1] {
			t.Error("training wrote into the source")
		}
		if got := m.Table.DType(); got != torch.Float32 {
			t.Errorf("type: got %v, want float32", got)
		}
	})
}

// Weights that are whole numbers are quantized by somebody: they are named before memory is taken.
func TestLoadRefusesWholeNumbers(t *testing.T) {
	torchtest.Do(t, func() {
		m := &model{Table: torch.Empty(torch.Float32, torch.CPU, 3).Keep()}
		defer nn.Free(m)
		src, err := weights.NewMemory([]weights.NamedTensor{
			{Name: "table", DType: weights.I8, Shape: []int64{3}, Data: []byte{1, 2, 3}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var whole *nn.NotFloatError
		if err := nn.Load(m, src, nn.LoadOptions{}); !errors.As(err, &whole) || whole.Name != "table" {
			t.Errorf("got %v, want a NotFloatError of table", err)
		}
	})
}

func TestConv1DIsLinearTransposed(t *testing.T) {
	torchtest.Do(t, func() {
		torch.Seed(2)
		l := nn.NewConv1D(3, 5)
		defer nn.Free(&l)
		nn.Normal(l.Weight, 1)
		nn.Normal(l.Bias, 1)
		x := torch.Randn(torch.Float32, torch.CPU, 4, 3)
		torchtest.Close(t, "conv1d", l.Forward(x), x.Matmul(l.Weight).Add(l.Bias))
	})
}
