// Package pipeline captions a stream of images, in the order in which they come and in bounded memory.
//
//	source -> workers: load, prepare -> batches -> model -> sink
//
// The queues between the stages are bounded by the number of workers and the batch, so that the memory does not depend
// on how many images there are. An image that cannot be loaded travels along with its reason: the sink sees everything
// in order.
package pipeline

import (
	"context"
	"errors"
	"hash/fnv"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"captioner/data/image"
	"captioner/models/decode"
)

// Model is what captions. Any number of goroutines may call Prepare; one at a time calls Caption.
type Model interface {
	Prepare(*image.RGB) *image.RGB
	Caption(context.Context, []*image.RGB, decode.Options) ([]decode.Caption, error)
}

// Pipeline captions images, each of which travels as a T of the caller's.
type Pipeline[T any] struct {
	Model   Model
	Options decode.Options
	Workers int           // that load and prepare images, 1 or more
	Batch   int           // images that go through the model together, 1 or more
	Patient time.Duration // how long a batch that is not full waits for the next image; 0: until there is one

	// Load reads an image. Workers call it at the same time. Where both results are nil, the image needs no caption,
	// and Set is not called.
	Load func(context.Context, T) (*image.RGB, error)
	// Each gives an image options of its own in the place of Options, after Load; nil for none. Workers call it at the
	// same time. Images whose prompts differ go through the model one after the other.
	Each func(T) (decode.Options, error)
	// Set is called once for each other image, before the sink sees it, with the caption or the reason why there is
	// none. Calls for different images may come at the same time.
	Set func(T, decode.Caption, error)

	Times Times
}

// Times is how long the stages have worked, in nanoseconds. Load is the sum over all workers.
type Times struct{ Load, Caption, Sink atomic.Int64 }

// item is an image on its way through the queue.
type item[T any] struct {
	of     T
	pixels *image.RGB      // prepared; nil without an image
	id     uint64          // of the prepared pixels, for draws
	own    *decode.Options // of Each; nil for those of the pipeline
	ready  chan struct{}
}

// Run feeds what the source yields through, and hands it to sink in that order, batch by batch, from one goroutine.
// When ctx ends, the batches that are under way are finished, and no others are begun; Run then returns ctx's error.
// An error of the model or of the sink ends the run at once and is returned. A source that waits for its next image
// holds up nothing: Run may return before it does.
func (p *Pipeline[T]) Run(ctx context.Context, source iter.Seq[T], sink func([]T) error) error {
	stop, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // ends all stages at once
	defer cancel(nil)
	jobs := make(chan *item[T])
	queue := make(chan *item[T], p.Workers+2*p.Batch)
	batches := make(chan []*item[T], 1)
	done := make(chan []*item[T], 1)
	taken := make(chan T)
	go take(ctx, stop, source, taken)

	var all sync.WaitGroup
	for range p.Workers {
		all.Go(func() {
			for it := range jobs {
				p.prepare(stop, it)
				close(it.ready)
			}
		})
	}
	all.Go(func() {
		defer close(jobs)
		defer close(queue)
		feed(ctx, stop, taken, queue, jobs)
	})
	all.Go(func() { defer close(batches); p.gather(ctx, stop, queue, batches) })
	all.Go(func() {
		defer close(done)
		if err := p.work(stop, batches, done); err != nil {
			cancel(err)
		}
	})
	for items := range done {
		if stop.Err() == nil {
			if err := p.hand(items, sink); err != nil {
				cancel(err)
			}
		}
	}
	cancel(nil)
	all.Wait()
	if err := context.Cause(stop); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return ctx.Err()
}

// take passes on what the source yields. Nobody waits for it: the source may wait for ever, as standard input does.
func take[T any](ctx, stop context.Context, source iter.Seq[T], taken chan<- T) {
	defer close(taken)
	source(func(t T) bool {
		select {
		case taken <- t:
			return true
		case <-ctx.Done():
		case <-stop.Done():
		}
		return false
	})
}

// feed puts each image in the queue, which keeps the order, and then to the workers.
func feed[T any](ctx, stop context.Context, taken <-chan T, queue, jobs chan<- *item[T]) {
	for {
		var it *item[T]
		select {
		case t, open := <-taken:
			if !open {
				return
			}
			it = &item[T]{of: t, ready: make(chan struct{})}
		case <-ctx.Done():
			return
		case <-stop.Done():
			return
		}
		select {
		case queue <- it:
		case <-ctx.Done():
			return
		case <-stop.Done():
			return
		}
		select {
		case jobs <- it:
		case <-stop.Done():
			return
		}
	}
}

// prepare loads one image and makes the model's input of it.
func (p *Pipeline[T]) prepare(ctx context.Context, it *item[T]) {
	start := time.Now()
	defer func() { p.Times.Load.Add(int64(time.Since(start))) }()
	img, err := p.Load(ctx, it.of)
	if err != nil {
		p.Set(it.of, decode.Caption{}, err)
	}
	if err != nil || img == nil {
		return
	}
	if p.Each != nil {
		o, err := p.Each(it.of)
		if err != nil {
			p.Set(it.of, decode.Caption{}, err)
			return
		}
		it.own = &o
	}
	it.pixels = p.Model.Prepare(img)
	if p.Options.Sample {
		h := fnv.New64a()
		h.Write(it.pixels.Pix)
		it.id = h.Sum64()
	}
}

// gather makes batches of what is ready. A batch goes when it is full, or when the next image does not come for as
// long as Patient: a list that comes in slowly is captioned as it comes. With a Patient of 0 only the order decides
// which images make up a batch, so that a run that is resumed writes what an uninterrupted one does wherever it works:
// with kernels of captioner's own (torch.HasPanels) no digit depends on the batch, and with libtorch's products, as on
// a GPU, the last digits of a log-probability may. Images that need no caption or cannot be loaded fill no batch. When
// ctx ends, what has not become a batch is dropped.
func (p *Pipeline[T]) gather(ctx, stop context.Context, queue <-chan *item[T], batches chan<- []*item[T]) {
	var items []*item[T]
	good := 0
	send := func() bool {
		select {
		case batches <- items:
			items, good = nil, 0
			return true
		case <-stop.Done():
			return false
		}
	}
	for {
		var late <-chan time.Time // nil, which never comes, while there is nothing to send
		if len(items) > 0 && p.Patient > 0 {
			late = time.After(p.Patient)
		}
		select {
		case it, open := <-queue:
			if !open {
				if len(items) > 0 && ctx.Err() == nil {
					send()
				}
				return
			}
			select {
			case <-it.ready:
			case <-stop.Done():
				return
			}
			if items = append(items, it); it.pixels != nil {
				good++
			}
			if (good == p.Batch || len(items) == 64*p.Batch) && !send() {
				return
			}
		case <-late:
			if !send() {
				return
			}
		case <-ctx.Done():
			return
		case <-stop.Done():
			return
		}
	}
}

// work captions batches until there are no more.
func (p *Pipeline[T]) work(stop context.Context, batches <-chan []*item[T], done chan<- []*item[T]) error {
	for items := range batches {
		if err := p.caption(stop, items); err != nil {
			return err
		}
		select {
		case done <- items:
		case <-stop.Done():
			return nil
		}
	}
	return nil
}

// caption sets the captions of a batch.
func (p *Pipeline[T]) caption(ctx context.Context, items []*item[T]) error {
	start := time.Now()
	defer func() { p.Times.Caption.Add(int64(time.Since(start))) }()
	var good []*item[T]
	for _, it := range items {
		if it.pixels != nil {
			good = append(good, it)
		}
	}
	for len(good) > 0 {
		alike, rest := p.alike(good)
		if err := p.captionAlike(ctx, alike); err != nil {
			return err
		}
		good = rest
	}
	return nil
}

// alike parts the images with the prompt of the first one from the others.
func (p *Pipeline[T]) alike(items []*item[T]) (alike, rest []*item[T]) {
	if p.Each == nil {
		return items, nil
	}
	first := items[0].own
	for _, it := range items {
		if slices.Equal(it.own.Prompt, first.Prompt) && it.own.MaxLen == first.MaxLen {
			alike = append(alike, it)
		} else {
			rest = append(rest, it)
		}
	}
	return alike, rest
}

// captionAlike sets the captions of images with the same options.
func (p *Pipeline[T]) captionAlike(ctx context.Context, good []*item[T]) error {
	o := p.Options
	if own := good[0].own; own != nil {
		o = *own
	}
	var images []*image.RGB
	for _, it := range good {
		images = append(images, it.pixels)
		if o.Sample {
			o.IDs = append(o.IDs, it.id)
		}
	}
	captions, err := p.Model.Caption(ctx, images, o)
	if err != nil {
		return err
	}
	for i, it := range good {
		p.Set(it.of, captions[i], nil)
		it.pixels = nil
	}
	return nil
}

func (p *Pipeline[T]) hand(items []*item[T], sink func([]T) error) error {
	start := time.Now()
	defer func() { p.Times.Sink.Add(int64(time.Since(start))) }()
	results := make([]T, len(items))
	for i, it := range items {
		results[i] = it.of
	}
	return sink(results)
}
