package train

import (
	"context"
	"fmt"

	"captioner/data/image"
	"captioner/models/train/features"
	"captioner/torch"
)

// feed decodes the images of the steps to come while the device works on those before.
type feed struct {
	draws      *draws
	job        *job
	images     corpus
	preprocess image.Preprocess
	next       *loading // of the batch after the one that was asked for last
}

// loading is a batch that is being decoded.
type loading struct {
	number int
	batch  chan loaded
	stop   func() // ends it and waits
}

type loaded struct {
	pixels []byte // [n, Size, Size, 3]
	err    error
}

// stop ends what is decoded ahead. A nil feed has nothing.
func (f *feed) stop() {
	if f != nil && f.next != nil {
		f.next.stop()
		f.next = nil
	}
}

// pixels gives the prepared images of batch number and starts on the batch after it.
func (f *feed) pixels(number, size int) ([]byte, error) {
	if f.next == nil || f.next.number != number {
		f.stop()
		f.next = f.start(number, f.views(number, size))
	}
	got := <-f.next.batch
	f.stop()
	if got.err == nil {
		f.next = f.start(number+1, f.views(number+1, size))
	}
	return got.pixels, got.err
}

// start decodes images as batch number.
func (f *feed) start(number int, views []features.View) *loading {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loading{number: number, batch: make(chan loaded, 1)}
	done := make(chan struct{})
	l.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		slots, wait := features.PrepareAll(ctx, f.preprocess, views)
		defer wait()
		var out loaded
		for i, s := range slots {
			select {
			case x := <-s:
				if x.Err != nil {
					cancel()
					l.batch <- loaded{err: fmt.Errorf("image %q: %w", views[i].Name(), x.Err)}
					return
				}
				out.pixels = append(out.pixels, x.Pixels...)
			case <-ctx.Done():
				return
			}
		}
		l.batch <- out
	}()
	return l
}

// views draws how this rank's images of a batch are shown.
func (f *feed) views(number, size int) []features.View {
	r := f.draws.random("view", number)
	var out []features.View
	showing := f.job.showing()
	for _, i := range f.draws.pick(number, size) {
		e := f.images[i]
		out = append(out, showing.Fresh(e.Example, e.flip, r))
	}
	from, to := f.job.Group.Share(len(out))
	return out[from:to]
}

// features gives the features of the images of batch number, [n, P, In]: cached ones, or those of an encoder that
// learns, whose gradients flow when backward is called.
func (l *learner) features(number, size int) (*torch.Tensor, error) {
	var x *torch.Tensor
	if l.feed != nil {
		b, err := l.feed.pixels(number, size)
		if err != nil {
			return nil, err
		}
		p := l.config.Encoder.Preprocess
		x = l.tuner.Pixels(b, len(b)/(p.Size*p.Size*3), l.device)
	} else {
		r := l.random("view", number)
		index := l.pick(number, size)
		from := make([]features.Rows, len(index))
		for k, i := range index {
			from[k] = l.cached[l.showing().Draw(l.train[i].flip, r)]
		}
		begin, end := l.Group.Share(len(index))
		x = features.Gather(index[begin:end], from[begin:end], l.device)
	}
	if l.tuner == nil {
		return x, nil
	}
	return l.learning(x), nil
}

// learning runs the part of the encoder that learns. Before its time has come no gradient is recorded; with Recompute
// the maps in between are not kept but computed again, some images at a time, once the gradient of the features is
// known (Chen et al. 2016).
func (l *learner) learning(x *torch.Tensor) (out *torch.Tensor) {
	learns := l.name != "captions" || float64(l.state.Step) >= l.EncoderAfter*float64(l.perEpoch)
	if learns && !l.Recompute {
		return l.tuned(x, l.dtype)
	}
	torch.NoGrad(func() { out = torch.Tidy1(func() *torch.Tensor { return l.tunedChunks(x, l.dtype) }) })
	if !learns {
		return out
	}
	out = out.RequireGrad(true)
	l.after = append(l.after, func() {
		g := out.Grad()
		for i := int64(0); i < x.Dim(0); i += recomputed {
			torch.Scoped(func() {
				n := min(recomputed, x.Dim(0)-i)
				l.tuned(x.Narrow(0, i, n), l.dtype).Mul(g.Narrow(0, i, n)).Sum().Backward()
			})
		}
	})
	return out
}
