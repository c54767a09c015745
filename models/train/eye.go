package train

import (
	"context"
	"fmt"
	"slices"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// recomputed is how many pictures go through the encoder at once when their maps are computed again for the gradient.
const recomputed = 8

// stage is the stage of the encoder that learning begins with, 0 where the encoder is frozen or learns as a whole.
func (t *trainer) stage() int {
	switch {
	case !t.TrainEncoder:
		return 0
	case t.EncoderFrom < 0:
		return t.config.Encoder.TuneFrom()
	}
	return t.EncoderFrom
}

// checkEncoder refuses to train an encoder that cannot learn, before anything is computed.
func (t *trainer) checkEncoder() error {
	if !t.TrainEncoder {
		return nil
	}
	n, err := t.config.Encoder.Stages()
	if err != nil {
		return err
	}
	if t.EncoderFrom >= n {
		return fmt.Errorf("encoder-from: found %d, want -1 to %d for %s", t.EncoderFrom, n-1, t.config.Encoder.Architecture)
	}
	return nil
}

// decodesAnew says whether pictures are decoded for each step: where the whole encoder learns, there is nothing to cache.
func (t *trainer) decodesAnew() bool { return t.TrainEncoder && t.stage() == 0 }

// newTuner loads the encoder that learns, if one does.
func (t *trainer) newTuner() error {
	if !t.TrainEncoder {
		return nil
	}
	src, err := weights.NewMemory(t.encoder, nil)
	if err != nil {
		return err
	}
	t.tuner, err = encoder.NewTuner(t.config.Encoder, t.config.Memory, src, t.stage(), t.device)
	return err
}

// cachedAs is the configuration under which features are cached. What enters a stage depends on the weights that do not learn alone, and so does its
// checksum: a run that goes on from another's model finds the features of that one. It works inside torch.Do.
func (t *trainer) cachedAs() (family.Config, error) {
	c := t.config
	if t.stage() == 0 {
		return c, nil
	}
	if err := t.newTuner(); err != nil {
		return c, err
	}
	learns := map[string]bool{}
	for _, p := range t.eyeParams() {
		learns[p.Name] = true
	}
	t.tuner.Free()
	t.tuner = nil
	c.Encoder.SHA256 = encoder.WeightsSum(slices.DeleteFunc(slices.Clone(t.encoder), func(n weights.NamedTensor) bool { return learns[n.Name] }))
	return c, nil
}

// loader decodes the pictures of the steps to come while the device works on those before.
type loader struct {
	number int
	batch  chan loaded
	stop   func()
}

type loaded struct {
	pixels []byte
	err    error
}

// start decodes pictures as batch number.
func (l *learner) start(number int, pictures []shown) *loader {
	ctx, cancel := context.WithCancel(context.Background())
	b := &loader{number: number, batch: make(chan loaded, 1)}
	done := make(chan struct{})
	b.stop = func() { cancel(); <-done }
	p := l.config.Encoder.Preprocess
	go func() {
		defer close(done)
		slots, wait := prepareAll(ctx, p, pictures)
		defer wait()
		var out loaded
		for i, s := range slots {
			select {
			case x := <-s:
				if x.err != nil {
					cancel()
					b.batch <- loaded{err: fmt.Errorf("picture %q: %w", pictures[i].Name(), x.err)}
					return
				}
				out.pixels = append(out.pixels, x.pix...)
			case <-ctx.Done():
				return
			}
		}
		b.batch <- out
	}()
	return b
}

// pixels gives the prepared pictures of batch number and starts on the batch after it.
func (l *learner) pixels(number, size int) ([]byte, error) {
	if l.next == nil || l.next.number != number {
		if l.next != nil {
			l.next.stop()
		}
		l.next = l.start(number, l.showFresh(number, size))
	}
	got := <-l.next.batch
	l.next.stop()
	l.next = nil
	if got.err == nil {
		l.next = l.start(number+1, l.showFresh(number+1, size))
	}
	return got.pixels, got.err
}

// showFresh draws how each picture of a batch is shown.
func (l *learner) showFresh(number, size int) []shown {
	r := l.random("view", number)
	var out []shown
	for _, i := range l.pictures(number, size) {
		out = append(out, l.fresh(l.train[i], r))
	}
	from, to := l.Group.Share(len(out))
	return out[from:to]
}

// features gives the features of the pictures of batch number, [n, P, In]: cached ones, or those of an encoder that learns, whose gradients
// flow when backward is called.
func (l *learner) features(number, size int) (*torch.Tensor, error) {
	var x *torch.Tensor
	if l.decodesAnew() {
		b, err := l.pixels(number, size)
		if err != nil {
			return nil, err
		}
		p := l.config.Encoder.Preprocess
		x = l.tuner.Pixels(b, len(b)/(p.Size*p.Size*3), l.device)
	} else {
		r := l.random("view", number)
		index := l.pictures(number, size)
		from := make([]*Features, len(index))
		for k, i := range index {
			from[k] = l.cached[l.draw(l.train[i], r)]
		}
		begin, end := l.Group.Share(len(index))
		x = gather(index[begin:end], from[begin:end], l.device)
	}
	if l.tuner == nil {
		return x, nil
	}
	return l.tuned(x), nil
}

// tuned runs the part of the encoder that learns. Before its time has come no gradient is recorded; with Recompute the maps in between are not
// kept but computed again, some pictures at a time, once the gradient of the features is known (Chen et al. 2016).
func (l *learner) tuned(x *torch.Tensor) (out *torch.Tensor) {
	learns := l.name != "captions" || float64(l.state.Step) >= l.EncoderAfter*float64(l.perEpoch)
	if learns && !l.Recompute {
		return l.seen(x, l.dtype)
	}
	torch.NoGrad(func() { out = torch.Tidy1(func() *torch.Tensor { return l.chunks(x, l.dtype) }) })
	if !learns {
		return out
	}
	out = out.RequireGrad(true)
	l.after = append(l.after, func() {
		g := out.Grad()
		for i := int64(0); i < x.Dim(0); i += recomputed {
			torch.Scoped(func() {
				n := min(recomputed, x.Dim(0)-i)
				l.seen(x.Narrow(0, i, n), l.dtype).Mul(g.Narrow(0, i, n)).Sum().Backward()
			})
		}
	})
	return out
}

// seen runs the tuner in type d and gives its features in float32.
func (t *trainer) seen(x *torch.Tensor, d torch.DType) *torch.Tensor {
	var y *torch.Tensor
	torch.Autocast(t.device, d, func() { y = t.tuner.Features(x) })
	return y.To(torch.Float32)
}

// chunks is seen for many pictures, without a gradient.
func (t *trainer) chunks(x *torch.Tensor, d torch.DType) *torch.Tensor {
	var parts []*torch.Tensor
	for i := int64(0); i < x.Dim(0); i += recomputed {
		parts = append(parts, torch.Tidy1(func() *torch.Tensor { return t.seen(x.Narrow(0, i, min(recomputed, x.Dim(0)-i)), d) }))
	}
	return torch.Cat(0, parts...)
}

// valSeen gives the features of n validation pictures from number from on, by the encoder as it is.
func (t *trainer) valSeen(from, n int) (*torch.Tensor, error) {
	if !t.decodesAnew() {
		x := gather(indices(from, n), same(t.valFeatures, n), t.device)
		if t.tuner == nil {
			return x, nil
		}
		return t.chunks(x, torch.Float32), nil
	}
	var pictures []shown
	for _, e := range t.val[from : from+n] {
		pictures = append(pictures, shown{Example: e.Example})
	}
	slots, wait := prepareAll(context.Background(), t.config.Encoder.Preprocess, pictures)
	defer wait()
	var pixels []byte
	for i, s := range slots {
		x := <-s
		if x.err != nil {
			return nil, fmt.Errorf("picture %q: %w", pictures[i].Name(), x.err)
		}
		pixels = append(pixels, x.pix...)
	}
	return t.chunks(t.tuner.Pixels(pixels, n, t.device), torch.Float32), nil
}

// eyeParams are the weights of the encoder that learn.
func (t *trainer) eyeParams() []nn.Param {
	if t.tuner == nil {
		return nil
	}
	return t.tuner.Params()
}
