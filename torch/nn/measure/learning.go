package measure

import (
	"context"

	"captioner/torch"
	"captioner/torch/nn"
)

// learners are the engines of layers that learn in type d, the default first. In bfloat16 there is one.
func learners(d torch.DType) []nn.Engine {
	switch {
	case d != torch.Float32:
		return []nn.Engine{nn.OneDNN}
	case torch.LearnsByOneDNN():
		return []nn.Engine{nn.OneDNN, nn.MKL}
	}
	return []nn.Engine{nn.MKL, nn.OneDNN}
}

// learningRows are the tokens of a small batch.
const learningRows = 256

// compareLearning times a layer forward and backward.
func compareLearning(d torch.DType, in, out int64) (Entry, bool) {
	defer torch.LearnByOneDNN(torch.LearnsByOneDNN())
	w, x := nn.Noise(out, in).RequireGrad(true), nn.Noise(learningRows, in).RequireGrad(true)
	step := func() {
		torch.Scoped(func() {
			var y *torch.Tensor
			low := d
			if d == torch.Float32 {
				y = torch.Linear(x, w, nil)
			} else {
				torch.Autocast(torch.CPU, low, func() { y = torch.Linear(x, w, nil) })
			}
			y.Sum().Backward()
		})
		w.ClearGrad()
		x.ClearGrad()
	}
	var all []*candidate
	for _, e := range learners(d) {
		all = append(all, &candidate{engine: e, times: make([][]float64, 1)})
	}
	for try := range repeats + 1 {
		for _, c := range all {
			torch.LearnByOneDNN(c.engine == nn.OneDNN)
			took := timed(step)
			if try > 0 { // the first makes kernels
				c.times[0] = append(c.times[0], took)
			}
		}
	}
	return choose(all, []int64{learningRows}, 3*2*float64(in)*float64(out))
}

// Learning is how layers learn the quickest here: the engine for float32, and how many times as quick bfloat16 is. ok
// is false where the machine is too busy to measure, or ctx ends.
func (t *Table) Learning(ctx context.Context) (engine nn.Engine, bf16 float64, ok bool) {
	err := torch.Do(ctx, func() error {
		single, ok1 := t.Entry(torch.Float32, nn.Learning, 768, 3072)
		half, ok2 := t.Entry(torch.BFloat16, nn.Learning, 768, 3072)
		if ok = ok1 && ok2; ok {
			engine, bf16 = single.Best, half.Rate()/single.Rate()
		}
		return nil
	})
	return engine, bf16, ok && err == nil
}
