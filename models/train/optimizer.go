package train

import (
	"captioner/torch/nn"
	"captioner/torch/optim"
	"captioner/weights"
)

// optimizer is what turns gradients into weights.
type optimizer struct {
	adam   *optim.AdamW
	ema    *optim.EMA        // nil: weights are not averaged
	scaler *optim.GradScaler // nil: gradients are not scaled
}

func newOptimizer(groups []optim.Group, params []nn.Param, beta1, beta2, ema float64) optimizer {
	o := optimizer{adam: optim.NewAdamW(groups, beta1, beta2, 1e-8)}
	if ema > 0 {
		o.ema = optim.NewEMA(params, ema)
	}
	return o
}

// tensors are what a checkpoint keeps.
func (o *optimizer) tensors() []weights.NamedTensor {
	out := o.adam.Save("adam.")
	if o.ema != nil {
		out = append(out, o.ema.Save("ema.")...)
	}
	if o.scaler != nil {
		out = append(out, o.scaler.Save("scaler.")...)
	}
	return out
}

// load puts back what tensors gave.
func (o *optimizer) load(f weights.Source) error {
	if err := o.adam.Load(f, "adam."); err != nil {
		return err
	}
	if o.ema != nil {
		if err := o.ema.Load(f, "ema."); err != nil {
			return err
		}
	}
	if o.scaler != nil {
		return o.scaler.Load(f, "scaler.")
	}
	return nil
}

func (o *optimizer) free() {
	if o.adam != nil {
		o.adam.Free()
	}
	if o.ema != nil {
		o.ema.Free()
	}
	if o.scaler != nil {
		o.scaler.Free()
	}
}
