package train

import (
	"math/rand/v2"

	"captioner/models/batch"
	"captioner/torch"
)

// captionStep is one step of cross-entropy over Accumulate batches. Its batches share the weights in the type of
// autocast: they are cast once, and forgotten before the optimizer changes them.
func (l *learner) captionStep(step int) (total *torch.Tensor, rows int, err error) {
	torch.Autocast(l.device, torch.Float32, func() { total, rows, err = captionBatches(l, step) })
	return total, rows, err
}

func captionBatches(l *learner, step int) (total *torch.Tensor, rows int, err error) {
	for a := range l.Accumulate {
		i := step*l.Accumulate + a
		index := l.pick(i, l.BatchSize)
		l.batch = index
		r := l.random("batch", i)
		var captions [][]int32
		from, to := l.Group.Share(len(index))
		for k, p := range index {
			chosen := choose(l.train[p].text, l.Captions, r)
			if rows += len(chosen); from <= k && k < to {
				captions = append(captions, chosen...)
			}
		}
		loss := torch.Tidy1(func() (loss *torch.Tensor) {
			var b *batch.Texts
			if b, err = l.pack(captions); err != nil {
				return nil
			}
			b.After(len(l.prompt))
			var x *torch.Tensor
			if x, err = l.features(i, l.BatchSize); err != nil {
				return nil
			}
			loss, err = l.crossEntropy(b, x, a == l.Accumulate-1)
			return loss
		})
		if err != nil {
			return nil, 0, err
		}
		if total == nil {
			total = loss
		} else {
			total = total.Add(loss)
		}
	}
	return total.MulScalar(1 / float64(l.Accumulate)), rows, nil
}

// textStep is one step of cross-entropy on text alone.
func (l *learner) textStep(step int) (loss *torch.Tensor, rows int, err error) {
	n := l.BatchSize * l.Captions
	if e := step / l.perEpoch; e != l.epoch {
		l.epoch, l.groups = e, l.bucket(l.text, n, l.perEpoch, e)
	}
	var lines [][]int32
	from, to := l.Group.Share(n)
	for _, i := range l.groups[step%l.perEpoch][from:to] {
		lines = append(lines, l.text[i])
	}
	b, err := batch.PackRounded(lines, l.device)
	if err != nil {
		return nil, 0, err
	}
	loss, err = l.crossEntropy(b, nil, true)
	return loss, n, err
}

// pack makes a batch of captions: without padding, or with padding that counts, and is hidden from the attention but
// for the first place of it, as clip-text-decoder's collate_fn and GPT2LMHeadModel have it.
func (l *learner) pack(rows [][]int32) (*batch.Texts, error) {
	if !l.Padded {
		return batch.PackRounded(rows, l.device)
	}
	_, end := l.config.Ends(l.tok)
	return batch.Pad(rows, batch.Padding{Token: end, Target: int64(end), Mask: true, End: true}, l.device)
}

// crossEntropy adds the gradients of a batch, divided by Accumulate, and returns its loss, a scalar in float64 that is
// still to be computed on a GPU; of several ranks, each its part of them. Last says that the gradients of the step are
// then whole. The text phase has no other.
func (l *learner) crossEntropy(b *batch.Texts, features *torch.Tensor, last bool) (*torch.Tensor, error) {
	var logits *torch.Tensor
	torch.Autocast(l.device, l.dtype, func() { logits = l.model.Logits(b, features, true) })
	if l.device != torch.CPU || l.dtype != torch.BFloat16 { // for that there is a kernel, to the same bits
		logits = logits.To(torch.Float32)
	}
	loss := b.Loss(logits, l.LabelSmoothing)
	part, err := l.exchange.Weigh(b.Count)
	if err != nil {
		return nil, err
	}
	if last {
		if err := l.exchange.LastBackward(); err != nil {
			return nil, err
		}
	}
	l.backward(loss.MulScalar(part / float64(l.Accumulate)))
	return loss.Detach().To(torch.Float64).MulScalar(part), nil
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

// choose takes n captions of an image: all of them where it has n, else n at random, again and again where there are
// fewer.
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
