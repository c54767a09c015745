package train

import (
	"context"
	"math"

	"captioner/models/train/ranks"
	"captioner/models/train/reward"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/optim"
)

// learner is a phase in progress.
type learner struct {
	*trainer
	phase
	optimizer
	draws
	exchange ranks.Exchange
	params   []nn.Param
	feed     *feed          // of images that are decoded anew; nil where features are cached
	groups   [][]int        // batches of lines in the epoch of the text phase
	reward   *reward.Scorer // of the phase scst
	batch    []int          // images of the last batch
	after    []func()       // what the gradient of a batch still needs once the loss has gone backward
}

func (t *trainer) newLearner(p phase) (*learner, error) {
	l := &learner{trainer: t, phase: p, params: nn.Trainable(t.model.Module())}
	l.draws = draws{seed: t.Seed, phase: p.number, images: len(t.train), epoch: -1}
	groups := optim.SplitDecay(l.params, p.decay, t.model.Bare)
	if t.DecayAll {
		groups = []optim.Group{{Params: l.params, WeightDecay: p.decay, LRScale: 1}}
	}
	if params := t.encoderParams(); len(params) > 0 { // trained weights are not drawn to zero
		l.params = append(l.params, params...)
		groups = append(groups, optim.Group{Params: params, LRScale: t.EncoderLR / t.LR})
	}
	l.optimizer = newOptimizer(groups, l.params, t.Beta1, p.beta2, p.average)
	if t.dtype == torch.Float16 {
		l.scaler = optim.NewGradScaler(t.device)
	}
	if t.decodesAnew() {
		l.feed = &feed{draws: &l.draws, job: &t.job, images: t.train, preprocess: t.config.Encoder.Preprocess}
	}
	err := l.prepare()
	if err != nil {
		l.free()
		return nil, err
	}
	return l, nil
}

// prepare makes what may fail.
func (l *learner) prepare() (err error) {
	if l.name == "scst" {
		if l.reward, err = reward.New(l.train.references(), l.SCSTBLEU); err != nil {
			return err
		}
	}
	l.exchange, err = ranks.NewExchange(l.Group, l.params, l.tuner == nil || !l.Recompute)
	return err
}

func (l *learner) free() {
	l.feed.stop()
	l.exchange.Close()
	l.optimizer.free()
}

// runPhase learns from where the state says to the phase's end, and leaves the averaged weights in the model.
func (t *trainer) runPhase(ctx context.Context, p phase) error {
	l, err := t.newLearner(p)
	if err != nil {
		return err
	}
	defer l.free()
	if err := l.restore(); err != nil {
		return err
	}
	if err := l.exchange.Equalize(); err != nil {
		return err
	}
	for t.state.Step < p.steps {
		if l.exchange.Halted() || t.Group.Size() == 1 && ctx.Err() != nil {
			if err := l.save(); err != nil {
				return err
			}
			return context.Canceled
		}
		if err := l.advance(ctx); err != nil {
			return err
		}
		if p.every > 0 && (t.state.Step%p.every == 0 || t.state.Step == p.steps) {
			stop, err := l.measure()
			if err != nil {
				return err
			}
			if stop {
				break
			}
		}
		if t.state.Step%t.SaveEvery == 0 {
			if err := l.save(); err != nil {
				return err
			}
		}
	}
	if l.ema != nil {
		l.ema.Swap()
	}
	t.state.Phase, t.state.Step, t.state.Worse, t.state.Halved = p.number+1, 0, 0, 0
	t.state.Sum, t.state.Summed = 0, 0
	return t.saveBetween()
}

// advance takes a step, tells it, and writes it down where a line of metrics.jsonl is due.
func (l *learner) advance(ctx context.Context) error {
	lr := l.lr * l.schedule.At(l.state.Step) * math.Pow(.5, float64(l.state.Halved))
	loss, rows, norm, err := l.update(ctx, lr)
	if err != nil {
		return err
	}
	s := &l.state
	s.Step++
	if finite(loss) {
		s.Sum, s.Summed = s.Sum+loss, s.Summed+1
	} else { // of a step that was left out
		loss = s.Sum / float64(max(1, s.Summed))
	}
	e := Event{
		Phase: l.name, Step: s.Step, Steps: l.steps, Epoch: float64(s.Step) / float64(l.perEpoch),
		Loss: loss, LR: lr, Norm: norm, Skipped: s.Skipped, Rows: rows, Base: l.base,
	}
	l.tell(e)
	if s.Step%l.StepsPerLine() != 0 && s.Step != l.steps {
		return nil
	}
	e.Loss = s.Sum / float64(max(1, s.Summed))
	s.Sum, s.Summed = 0, 0
	return l.log(e)
}

// mostSkipped is how many steps in a row may overflow in float16: by then the scale is so small that no gradient of a
// sound model does.
const mostSkipped = 24

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// update takes one step of the optimizer. A step whose loss or gradients overflowed in float16 is left out, as
// PyTorch's GradScaler does, which sees the loss in its gradients; the loss is then returned as it is.
func (l *learner) update(ctx context.Context, lr float64) (loss float64, rows int, norm float64, err error) {
	l.reseed()
	torch.Scoped(func() {
		var overflow float64
		if loss, norm, overflow, rows, err = gradients(l); err != nil {
			return
		}
		if loss, err = l.exchange.Agree(ctx, loss); err != nil {
			return
		}
		if !finite(loss) && (l.scaler == nil || l.state.InARow+1 >= mostSkipped) {
			err = l.spoilt("loss", loss)
			return
		}
		if overflow == 0 && (l.scaler == nil || finite(loss)) {
			if !finite(norm) {
				err = l.spoilt("norm of the gradients", norm)
				return
			}
			l.adam.ClipGrad(norm, l.Clip)
			l.adam.Step(lr, nil)
			l.state.InARow = 0
		} else {
			norm = 0
			l.state.Skipped++
			if l.state.InARow++; l.state.InARow >= mostSkipped {
				err = l.spoilt("norm of the gradients", math.Inf(1))
				return
			}
		}
		if l.scaler != nil {
			l.scaler.Update()
		}
		l.adam.ClearGrad()
		if l.ema != nil {
			l.ema.Update(l.state.Step + 1)
		}
	})
	return loss, rows, norm, err
}

// gradients computes those of a step of l, unscaled, with the loss, the norm and whether they overflowed in float16 (1,
// else 0). A GPU is waited for once.
func gradients(l *learner) (loss, norm, overflow float64, rows int, err error) {
	mean, rows, err := l.phase.step(l, l.state.Step)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if err := l.exchange.SumGradients(); err != nil {
		return 0, 0, 0, 0, err
	}
	if l.scaler == nil {
		v := torch.Floats(mean, l.adam.GradNorm())
		return v[0], v[1], 0, rows, nil
	}
	found := l.scaler.Unscale(l.adam)
	v := torch.Floats(mean, l.adam.GradNorm(), found)
	return v[0], v[1], v[2], rows, nil
}

// reseed gives each rank numbers of its own for a step's dropout, the same whenever the run gets there.
func (l *learner) reseed() {
	if l.Group.Size() > 1 {
		torch.Seed(int64(l.random("dropout", l.state.Step*l.Group.Size()+l.Group.Rank()).Uint64() >> 1))
	}
}
