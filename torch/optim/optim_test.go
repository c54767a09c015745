package optim

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

const fixture = "testdata/optim.safetensors"

var names = []string{"a.weight", "b.weight", "a.bias", "norm.weight"}

func number(t *testing.T, src weights.Source, key string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(src.Metadata()[key], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// problem is the fixture's parameters under an optimizer. step sets the fixture's gradients and takes one step.
type problem struct {
	params []nn.Param
	opt    *AdamW
}

func newProblem(t *testing.T, src weights.Source) *problem {
	t.Helper()
	p := &problem{}
	for _, n := range names {
		p.params = append(p.params, nn.Param{Name: n, Tensor: torchtest.Get(t, src, "param."+n).RequireGrad(true)})
	}
	groups := SplitDecay(p.params, number(t, src, "weight_decay"), nil)
	p.opt = NewAdamW(groups, number(t, src, "beta1"), number(t, src, "beta2"), number(t, src, "eps"))
	return p
}

// setGrads gives each parameter the fixture's gradient of a step, as that of a linear loss.
func (p *problem) setGrads(t *testing.T, src weights.Source, step int) {
	t.Helper()
	p.opt.ClearGrad()
	torch.Scoped(func() {
		for _, x := range p.params {
			x.Tensor.Mul(torchtest.Get(t, src, fmt.Sprintf("grad.%d.%s", step, x.Name))).Sum().Backward()
		}
	})
}

func schedule(t *testing.T, src weights.Source) Schedule {
	return Schedule{
		Kind:   "cosine",
		Warmup: int(number(t, src, "warmup")),
		Total:  int(number(t, src, "total")),
		Floor:  number(t, src, "floor"),
	}
}

func TestAdamWMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		p := newProblem(t, src)
		defer p.opt.Free()
		s, steps := schedule(t, src), int(number(t, src, "steps"))
		norms := torch.Slice[float32](torchtest.Get(t, src, "norms"))
		for step := range steps {
			p.setGrads(t, src, step)
			got, want := p.opt.ClipGradNorm(number(t, src, "clip")), float64(norms[step])
			if !(math.Abs(got-want) <= 1e-5*want) {
				t.Errorf("step %d: got norm %g, want %g", step, got, want)
			}
			for _, x := range p.params {
				if name := fmt.Sprintf("clipped.%d.%s", step, x.Name); step == 0 {
					torchtest.Close(t, name, x.Tensor.Grad(), torchtest.Get(t, src, name))
				}
			}
			p.opt.Step(number(t, src, "lr")*s.At(step), nil)
			for _, x := range p.params {
				name := fmt.Sprintf("after.%d.%s", step, x.Name)
				if _, err := src.Tensor(name); err == nil {
					torchtest.CloseTo(t, name, x.Tensor, torchtest.Get(t, src, name), torchtest.Tolerance{Rel: 1e-6, Abs: 1e-7})
				}
			}
		}
		p.opt.each(func(name string, got *torch.Tensor) error {
			key := name[len(name)-len("step"):] // the state's keys put the kind before the name
			for _, kind := range []string{"exp_avg", "exp_avg_sq", "step"} {
				if n := len(name) - len(kind); name[n:] == kind && name[n-1] == '.' {
					key = "state." + kind + "." + name[:n-1]
				}
			}
			torchtest.Close(t, key, got, torchtest.Get(t, src, key))
			return nil
		})
		p.opt.ClearGrad()
	})
}

func TestScheduleMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		s := schedule(t, src)
		for step, want := range torch.Slice[float64](torchtest.Get(t, src, "schedule")) {
			if got := s.At(step); !(math.Abs(got-want) <= 1e-12) {
				t.Errorf("step %d: got %g, want %g", step, got, want)
			}
		}
		for step, want := range torch.Slice[float64](torchtest.Get(t, src, "rates")) {
			if got := s.At(step) * number(t, src, "lr"); !(math.Abs(got-want) <= 1e-12) {
				t.Errorf("step %d: got rate %g, want %g", step, got, want)
			}
		}
	})
}

func TestResumeGivesTheSameWeights(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		run := func(p *problem, from, to int) {
			for step := from; step < to; step++ {
				p.setGrads(t, src, step)
				p.opt.Step(0.01, nil)
			}
			p.opt.ClearGrad()
		}
		whole := newProblem(t, src)
		defer whole.opt.Free()
		run(whole, 0, 6)

		first := newProblem(t, src)
		run(first, 0, 3)
		stored, err := weights.NewMemory(first.opt.Save("optim."), nil)
		if err != nil {
			t.Fatal(err)
		}
		first.opt.Free()
		second := newProblem(t, src)
		defer second.opt.Free()
		torch.NoGrad(func() {
			for i := range second.params {
				second.params[i].Tensor.Copy(first.params[i].Tensor)
			}
		})
		if err := second.opt.Load(stored, "optim."); err != nil {
			t.Fatal(err)
		}
		run(second, 3, 6)
		for i, p := range whole.params {
			got := fmt.Sprint(torch.Slice[float32](second.params[i].Tensor))
			want := fmt.Sprint(torch.Slice[float32](p.Tensor))
			if got != want {
				t.Errorf("%s: got %s, want %s", p.Name, got, want)
			}
		}
	})
}
