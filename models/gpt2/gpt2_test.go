package gpt2

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/optim"
	"captioner/torch/torchtest"
	"captioner/weights"
)

const fixture = "testdata/gpt2.safetensors"

// load makes the fixture's model on dev. own gives it memory of its own, for training.
func load(t *testing.T, src weights.Source, dev torch.Device, own bool) *Model {
	t.Helper()
	c, err := ParseConfig([]byte(src.Metadata()["config"]))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	inModel := func(name string) bool { return !strings.HasPrefix(name, "model.") }
	if err := m.Load(src, nn.LoadOptions{Prefix: "model.", Ignore: inModel, Device: dev, Own: own}); err != nil {
		t.Fatal(err)
	}
	return m
}

func number(t *testing.T, src weights.Source, key string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(src.Metadata()[key], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// rows rebuilds the captions of the fixture as Pack and Pad take them.
func rows(t *testing.T, src weights.Source) [][]int32 {
	t.Helper()
	ids, labels := torchtest.Get(t, src, "ids"), torchtest.Get(t, src, "labels")
	length := int(ids.Dim(1))
	id, label := torch.Slice[int64](ids), torch.Slice[int64](labels)
	var out [][]int32
	for r, n := range torch.Slice[int64](torchtest.Get(t, src, "lengths")) {
		row := []int32{int32(id[r*length])}
		for i := range int(n) {
			row = append(row, int32(label[r*length+i]))
		}
		out = append(out, row)
	}
	return out
}

// forms are the two layouts of a batch, with the map from a reference [B, T, ...] to the tokens that the layout has.
var forms = []struct {
	name string
	make func([][]int32, torch.Device) (*batch.Texts, error)
	pick func(b *batch.Texts, want *torch.Tensor) *torch.Tensor
}{
	{
		"packed",
		batch.Pack,
		func(b *batch.Texts, want *torch.Tensor) *torch.Tensor {
			return want.Flatten(0, 1).IndexSelect(0, b.Index)
		},
	},
	{
		"padded",
		func(r [][]int32, dev torch.Device) (*batch.Texts, error) {
			return batch.Pad(r, batch.Padding{Target: batch.Ignore}, dev)
		},
		func(b *batch.Texts, want *torch.Tensor) *torch.Tensor { return want.Flatten(0, 1) },
	},
}

// picks gives a tensor of the fixture as the batch has it.
type picks func(name string) *torch.Tensor

// eachForm runs f for both layouts on every device, with the fixture's memory as a leaf that wants a gradient.
func eachForm(
	t *testing.T,
	f func(t *testing.T, src weights.Source, m *Model, b *batch.Texts, memory *torch.Tensor, pick picks),
) {
	src := torchtest.Fixture(t, fixture)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev, true)
				defer m.Free()
				b, err := form.make(rows(t, src), dev)
				if err != nil {
					t.Fatal(err)
				}
				memory := torchtest.Get(t, src, "memory").ToDevice(dev).RequireGrad(true)
				f(
					t,
					src,
					m,
					b,
					memory,
					func(name string) *torch.Tensor { return form.pick(b, torchtest.Get(t, src, name).ToDevice(dev)) },
				)
			})
		})
	}
}

func TestForwardMatchesPyTorch(t *testing.T) {
	eachForm(
		t,
		func(t *testing.T, src weights.Source, m *Model, b *batch.Texts, memory *torch.Tensor, pick picks) {
			seen := map[string]bool{}
			m.trace = func(name string, got *torch.Tensor) {
				seen["mid."+name] = true
				torchtest.Close(t, name, got, pick("mid."+name))
			}
			logits := m.Forward(b, memory, false)
			m.trace = nil
			for _, name := range src.Names() {
				if strings.HasPrefix(name, "mid.") && !seen[name] {
					t.Errorf("%s: not computed", name)
				}
			}
			torchtest.Close(t, "logits", logits, pick("logits"))
			torchtest.Close(t, "loss", b.Loss(logits, 0), torchtest.Get(t, src, "loss"))
			torchtest.Close(
				t,
				"smoothed loss",
				b.Loss(logits, number(t, src, "label_smoothing")),
				torchtest.Get(t, src, "loss.smoothed"),
			)
		},
	)
}

func TestGradientsMatchPyTorch(t *testing.T) {
	eachForm(
		t,
		func(t *testing.T, src weights.Source, m *Model, b *batch.Texts, memory *torch.Tensor, _ picks) {
			params := nn.Trainable(m)
			b.Loss(m.Forward(b, memory, false), number(t, src, "label_smoothing")).Backward()
			for _, p := range params {
				torchtest.Close(t, p.Name, p.Tensor.Grad(), torchtest.Get(t, src, "grad."+p.Name))
				p.Tensor.ClearGrad()
			}
			torchtest.Close(t, "memory", memory.Grad(), torchtest.Get(t, src, "grad.memory"))
			b.Loss(m.Forward(b, memory, false), 0).Backward()
			torchtest.Close(
				t,
				"wte of the plain loss",
				m.Transformer.Tokens.Weight.Grad(),
				torchtest.Get(t, src, "grad.plain_loss.wte"),
			)
		},
	)
}

func TestWithoutMemoryMatchesPyTorch(t *testing.T) {
	eachForm(
		t,
		func(t *testing.T, src weights.Source, m *Model, b *batch.Texts, _ *torch.Tensor, pick picks) {
			params := nn.Trainable(m)
			logits := m.Forward(b, nil, false)
			torchtest.Close(t, "logits", logits, pick("logits.no_memory"))
			loss := b.Loss(logits, number(t, src, "label_smoothing"))
			torchtest.Close(t, "loss", loss, torchtest.Get(t, src, "loss.no_memory"))
			loss.Backward()
			compared := 0
			for _, p := range params {
				name := "grad.no_memory." + p.Name
				if _, err := src.Tensor(name); err == nil {
					compared++
					torchtest.Close(t, p.Name, p.Tensor.Grad(), torchtest.Get(t, src, name))
				}
				cross := strings.Contains(p.Name, "cross")
				if got := p.Tensor.Grad() == nil; got != cross {
					t.Errorf("%s: got no gradient %v, want %v", p.Name, got, cross)
				}
			}
			if compared != 3 {
				t.Errorf("got %d gradients to compare, want 3", compared)
			}
		},
	)
}

func TestMaskMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := load(t, src, dev, false)
		defer m.Free()
		b, err := batch.Pad(rows(t, src), batch.Padding{Target: batch.Ignore, Mask: true}, dev)
		if err != nil {
			t.Fatal(err)
		}
		memory := torchtest.Get(t, src, "memory").ToDevice(dev)
		torchtest.Close(t, "logits", m.Forward(b, memory, false), torchtest.Get(t, src, "logits.masked").Flatten(0, 1))
	})
}

func TestTenStepsMatchPyTorch(t *testing.T) {
	eachForm(
		t,
		func(t *testing.T, src weights.Source, m *Model, b *batch.Texts, memory *torch.Tensor, _ picks) {
			want := torch.Slice[float32](torchtest.Get(t, src, "adamw.losses"))
			params := nn.Trainable(m)
			opt := optim.NewAdamW(
				optim.SplitDecay(params, number(t, src, "weight_decay"), nil),
				number(t, src, "beta1"),
				number(t, src, "beta2"),
				number(t, src, "eps"),
			)
			defer opt.Free()
			memory = memory.Detach()
			for i, w := range want {
				torch.Scoped(func() {
					loss := b.Loss(
						m.Forward(b, memory, true),
						number(t, src, "label_smoothing"),
					) // the fixture's dropouts are 0
					loss.Backward()
					opt.Step(number(t, src, "lr"), nil)
					opt.ClearGrad()
					if got := loss.Float(); !(math.Abs(got-float64(w)) <= 1e-4*float64(w)) {
						t.Errorf("step %d: got loss %g, want %g", i, got, w)
					}
				})
			}
			for _, p := range params {
				torchtest.CloseTo(
					t,
					p.Name,
					p.Tensor,
					torchtest.Get(t, src, "adamw."+p.Name),
					torchtest.Tolerance{Rel: 1e-3, Abs: 1e-4},
				)
			}
		},
	)
}

func TestDropout(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		m := load(t, src, torch.CPU, false)
		defer m.Free()
		b, err := batch.Pack(rows(t, src), torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		memory := torchtest.Get(t, src, "memory")
		plain := torch.Slice[float32](m.Forward(b, memory, false))
		for _, set := range []func(p float64){
			func(p float64) { m.Config.ResidualDrop = p },
			func(p float64) { m.Config.EmbeddingDrop = p },
			func(p float64) { m.Config.AttentionDrop = p }} {
			set(0.5)
			if got := torch.Slice[float32](m.Forward(b, memory, false)); fmt.Sprint(got) != fmt.Sprint(plain) {
				t.Error("dropout acts outside training")
			}
			torch.Seed(1)
			first := torch.Slice[float32](m.Forward(b, memory, true))
			torch.Seed(1)
			again := torch.Slice[float32](m.Forward(b, memory, true))
			if fmt.Sprint(first) == fmt.Sprint(plain) {
				t.Error("dropout does nothing in training")
			}
			if fmt.Sprint(first) != fmt.Sprint(again) {
				t.Error("the same seed gives other dropouts")
			}
			set(0)
		}
	})
}

// Rounding adds tokens that nothing depends on.
func TestPackRounded(t *testing.T) {
	torchtest.Do(t, func() {
		src := torchtest.Fixture(t, fixture)
		m := load(t, src, torch.CPU, true)
		defer m.Free()
		texts := rows(t, src)
		texts[0] = texts[0][:3]
		exact, err := batch.Pack(texts, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		rounded, err := batch.PackRounded(texts, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		n, filled := exact.Tokens.Numel(), rounded.Tokens.Numel()
		if exact.Count != int(n) || rounded.Count != int(n) || filled <= n ||
			filled%64 != 0 && filled != rounded.Rows*rounded.Len {
			t.Errorf("tokens: got %d exact and %d rounded, counts %d and %d", n, filled, exact.Count, rounded.Count)
		}
		a, b := exact.Loss(m.Forward(exact, nil, false), .1), rounded.Loss(m.Forward(rounded, nil, false), .1)
		torchtest.Close(t, "loss", b, a)
		values := make([]float32, len(texts))
		for i := range values {
			values[i] = float32(i + 1)
		}
		torchtest.Close(t, "spread", rounded.Spread(values).Sum(), exact.Spread(values).Sum())
	})
}
