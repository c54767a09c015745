package optim

import (
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// EMA is the exponential moving average of a model's parameters. Its first steps follow the parameters more closely:
// step n keeps at most the share (n+1)/(n+10).
type EMA struct {
	Decay  float64
	params []nn.Param
	live   []*torch.Tensor
	avg    []*torch.Tensor
}

// NewEMA starts at the parameters' present values.
func NewEMA(params []nn.Param, decay float64) *EMA {
	e := &EMA{Decay: decay, params: params}
	for _, p := range params {
		e.live = append(e.live, p.Tensor)
		torch.NoGrad(func() { e.avg = append(e.avg, p.Tensor.Detach().Clone().Keep()) })
	}
	return e
}

// Update takes the parameters after step n, counted from 1, into the average.
func (e *EMA) Update(n int) {
	torch.LerpAll(e.avg, e.live, 1-min(e.Decay, float64(n+1)/float64(n+10)))
}

// Swap exchanges the parameters and the average. Calling it again puts them back.
func (e *EMA) Swap() {
	torch.NoGrad(func() {
		for i, a := range e.avg {
			torch.Scoped(func() {
				t := e.live[i].Detach().Clone()
				e.live[i].Copy(a)
				a.Copy(t)
			})
		}
	})
}

// Save copies the average: prefix + the parameter's name.
func (e *EMA) Save(prefix string) []weights.NamedTensor {
	var out []weights.NamedTensor
	for i, p := range e.params {
		out = append(out, e.avg[i].Named(prefix+p.Name))
	}
	return out
}

// Load puts back what Save gave.
func (e *EMA) Load(src weights.Source, prefix string) error {
	for i, p := range e.params {
		if err := copyFrom(src, prefix+p.Name, e.avg[i]); err != nil {
			return err
		}
	}
	return nil
}

// Free releases the average.
func (e *EMA) Free() {
	for _, t := range e.avg {
		t.Free()
	}
}
