package train

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/dist"
	"captioner/torch/nn"
	"captioner/torch/optim"
)

// phase is a part of the run with an optimizer of its own.
type phase struct {
	name     string
	number   int
	steps    int
	perEpoch int // steps
	lr       float64
	schedule optim.Schedule
	beta2    float64
	decay    float64
	ema      float64
	every    int // steps between measurements; 0: none
	step     func(*learner, int) (loss float64, rows int, err error)
}

// phases lists the run's parts in their order.
func (t *trainer) phases() []phase {
	var out []phase
	add := func(p phase) {
		if t.DryRun {
			p.steps, p.every = min(p.steps, dryRunSteps), 0
		}
		if p.steps > 0 {
			p.number = len(out)
			out = append(out, p)
		}
	}
	plan := func(steps, warmup int, floor float64) optim.Schedule {
		kind := t.Schedule
		if kind == plateau {
			kind = "constant" // and measurements turn it down
		}
		return optim.Schedule{Kind: kind, Warmup: warmup, Total: steps, Floor: floor}
	}
	per := len(t.text) / (t.BatchSize * t.Captions)
	steps := int(float64(per) * t.TextEpochs)
	add(phase{name: "text", steps: steps, perEpoch: per, lr: t.LR, schedule: plan(steps, t.Warmup, t.Floor), beta2: t.Beta2,
		decay: t.WeightDecay, ema: t.EMA, step: (*learner).textStep})
	per = max(1, len(t.train)/(t.BatchSize*t.Accumulate))
	steps = int(float64(per) * t.Epochs)
	add(phase{name: "captions", steps: steps, perEpoch: per, lr: t.LR, schedule: plan(steps, t.Warmup, t.Floor), beta2: t.Beta2,
		decay: t.WeightDecay, ema: t.EMA, every: per, step: (*learner).captionStep})
	per = max(1, len(t.train)/max(t.SCSTBatch, 1))
	add(phase{name: "scst", steps: t.SCSTSteps, perEpoch: per, lr: t.SCSTLR, schedule: plan(t.SCSTSteps, 20, .1), beta2: .99,
		ema: t.SCSTEMA, every: t.SCSTEvery, step: (*learner).scstStep})
	return out
}

// learner is a phase in progress.
type learner struct {
	*trainer
	phase
	params []nn.Param
	adam   *optim.AdamW
	ema    *optim.EMA
	scaler *optim.GradScaler
	epoch  int // that order and batches are of
	order  []int
	groups [][]int // of the text phase
	reward *rewarder
	shown  []int    // pictures of the last batch
	next   *loader  // of the batch after this one, where pictures are decoded anew
	after  []func() // what the gradient of a batch still needs once the loss has gone backward

	buckets *dist.Buckets // of the gradients; nil for one process alone
	early   bool          // buckets leave during backward
	halt    bool          // a rank was asked to stop
}

func (t *trainer) newLearner(p phase) (*learner, error) {
	l := &learner{trainer: t, phase: p, epoch: -1, params: nn.Trainable(t.model)}
	bare := func(name string) bool { // place vectors do not decay
		return name == "memory.rows" || name == "memory.columns" || name == "decoder.transformer.wpe.weight"
	}
	groups := optim.SplitDecay(l.params, p.decay, bare)
	if t.DecayAll {
		groups = []optim.Group{{Params: l.params, WeightDecay: p.decay, LRScale: 1}}
	}
	if eye := t.eyeParams(); len(eye) > 0 { // trained weights are not drawn to zero
		l.params = append(l.params, eye...)
		groups = append(groups, optim.Group{Params: eye, LRScale: t.EncoderLR / t.LR})
	}
	l.adam = optim.NewAdamW(groups, t.Beta1, p.beta2, 1e-8)
	if p.ema > 0 {
		l.ema = optim.NewEMA(l.params, p.ema)
	}
	if t.dtype == torch.Float16 {
		l.scaler = optim.NewGradScaler(t.device)
	}
	if p.name == "scst" {
		var err error
		if l.reward, err = newRewarder(t.train, t.SCSTBLEU); err != nil {
			l.free()
			return nil, err
		}
	}
	if err := l.newBuckets(); err != nil {
		l.free()
		return nil, err
	}
	return l, nil
}

func (l *learner) free() {
	if l.next != nil {
		l.next.stop()
	}
	l.buckets.Close()
	l.adam.Free()
	if l.ema != nil {
		l.ema.Free()
	}
	if l.scaler != nil {
		l.scaler.Free()
	}
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
	if err := l.equalise(); err != nil {
		return err
	}
	for t.state.Step < p.steps {
		if l.halt || t.Group.Size() == 1 && ctx.Err() != nil {
			if err := l.save(); err != nil {
				return err
			}
			return context.Canceled
		}
		lr := p.lr * p.schedule.At(t.state.Step) * math.Pow(.5, float64(t.state.Halved))
		loss, rows, norm, err := l.update(ctx, lr)
		if err != nil {
			return err
		}
		t.state.Step++
		if finite(loss) {
			t.state.Sum, t.state.Summed = t.state.Sum+loss, t.state.Summed+1
		} else { // of a step that was left out
			loss = t.state.Sum / float64(max(1, t.state.Summed))
		}
		n := t.state.Step
		e := Event{Phase: p.name, Step: n, Steps: p.steps, Epoch: float64(n) / float64(p.perEpoch), Loss: loss, LR: lr, Norm: norm,
			Skipped: t.state.Skipped, Rows: rows}
		t.tell(e)
		if n%l.logEvery() == 0 || n == p.steps {
			e.Loss = t.state.Sum / float64(max(1, t.state.Summed))
			t.state.Sum, t.state.Summed = 0, 0
			if err := l.log(e); err != nil {
				return err
			}
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

// logEvery is how many steps a line of metrics.jsonl sums up.
func (o Options) logEvery() int {
	if o.LogEvery > 0 {
		return o.LogEvery
	}
	return 10
}

// mostSkipped is how many steps in a row may overflow in float16: by then the scale is so small that no gradient of a sound model does.
const mostSkipped = 24

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// update takes one step of the optimizer. A step whose loss or gradients overflowed in float16 is left out, as PyTorch's GradScaler does, which
// sees the loss in its gradients; the loss is then returned as it is.
func (l *learner) update(ctx context.Context, lr float64) (loss float64, rows int, norm float64, err error) {
	l.reseed()
	torch.Scoped(func() {
		loss, rows, err = l.step(l, l.state.Step)
		if err != nil {
			return
		}
		if loss, err = l.agree(ctx, loss); err != nil {
			return
		}
		if !finite(loss) && (l.scaler == nil || l.state.InARow+1 >= mostSkipped) {
			err = l.spoilt("loss", loss)
			return
		}
		if l.scaler == nil || l.scaler.Unscale(l.adam) && finite(loss) {
			norm = l.adam.ClipGradNorm(l.Clip)
			if !finite(norm) {
				err = l.spoilt("norm of the gradients", norm)
				return
			}
			l.adam.Step(lr, nil)
			l.state.InARow = 0
		} else {
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

// random gives the numbers of one purpose, the same whenever the run gets there.
func (l *learner) random(purpose string, n int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(l.Seed), hash(purpose)+uint64(l.number)<<48+uint64(n)))
}

// pictures draws the pictures of batch i when n of them make a batch.
func (l *learner) pictures(i, n int) []int {
	n = min(n, len(l.train))
	per := len(l.train) / n
	if e := i / per; e != l.epoch {
		l.epoch, l.order = e, l.random("order", e).Perm(len(l.train))
	}
	at := i % per * n
	return l.order[at : at+n]
}

// captionStep is one step of cross-entropy over Accumulate batches.
func (l *learner) captionStep(step int) (float64, int, error) {
	total, rows := 0.0, 0
	for a := range l.Accumulate {
		i := step*l.Accumulate + a
		index := l.pictures(i, l.BatchSize)
		l.shown = index
		r := l.random("batch", i)
		var captions [][]int32
		from, to := l.Group.Share(len(index))
		for k, p := range index {
			chosen := choose(l.train[p].text, l.Captions, r)
			if rows += len(chosen); from <= k && k < to {
				captions = append(captions, chosen...)
			}
		}
		var err error
		torch.Scoped(func() {
			var b *gpt2.Batch
			if b, err = l.pack(captions); err != nil {
				return
			}
			var x *torch.Tensor
			if x, err = l.features(i, l.BatchSize); err != nil {
				return
			}
			var loss float64
			loss, err = l.crossEntropy(b, x, a == l.Accumulate-1)
			total += loss
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return total / float64(l.Accumulate), rows, nil
}

// textStep is one step of cross-entropy on text alone.
func (l *learner) textStep(step int) (loss float64, rows int, err error) {
	n := l.BatchSize * l.Captions
	if e := step / l.perEpoch; e != l.epoch {
		l.epoch, l.groups = e, l.bucket(n, e)
	}
	var lines [][]int32
	from, to := l.Group.Share(n)
	for _, i := range l.groups[step%l.perEpoch][from:to] {
		lines = append(lines, l.text[i])
	}
	b, err := gpt2.PackRounded(lines, l.device)
	if err != nil {
		return 0, 0, err
	}
	loss, err = l.crossEntropy(b, nil, true)
	return loss, n, err
}

// bucket makes batches of n lines of like length, in random order.
func (l *learner) bucket(n, epoch int) [][]int {
	r := l.random("bucket", epoch)
	var out [][]int
	for chunk := range slices.Chunk(r.Perm(len(l.text)), n*40) {
		slices.SortStableFunc(chunk, func(a, b int) int { return cmp.Compare(len(l.text[a]), len(l.text[b])) })
		for len(chunk) >= n {
			out, chunk = append(out, chunk[:n]), chunk[n:]
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:l.perEpoch]
}

// crossEntropy adds the gradients of a batch, divided by Accumulate, and returns its loss; of several ranks, each its part of them. Last says that
// the gradients of the step are then whole. The text phase has no other.
func (l *learner) crossEntropy(b *gpt2.Batch, features *torch.Tensor, last bool) (float64, error) {
	var logits *torch.Tensor
	torch.Autocast(l.device, l.dtype, func() { logits = l.model.Logits(b, features, true) })
	loss := b.Loss(logits.To(torch.Float32), l.Smoothing)
	part, err := l.weigh(b.Count)
	if err != nil {
		return 0, err
	}
	if last {
		if err := l.lastBackward(); err != nil {
			return 0, err
		}
	}
	l.backward(loss.MulScalar(part / float64(l.Accumulate)))
	return loss.Float() * part, nil
}

// backward adds the gradients of a batch's loss.
func (l *learner) backward(loss *torch.Tensor) {
	if l.scaler != nil {
		loss = l.scaler.Scale(loss)
	}
	loss.Backward()
	for _, f := range l.after {
		f()
	}
	l.after = nil
}

// choose takes n captions of a picture: all of them where it has n, else n at random, again and again where there are fewer.
func choose(text [][]int32, n int, r *rand.Rand) [][]int32 {
	if len(text) == n {
		return text
	}
	var out [][]int32
	for len(out) < n {
		for _, i := range r.Perm(len(text)) {
			if len(out) < n {
				out = append(out, text[i])
			}
		}
	}
	return out
}
