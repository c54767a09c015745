package cli

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/report"
	"captioner/data/image"
	"captioner/models/decode"
)

// pipeline captions pictures in the order of its source:
//
//	source -> workers: read, decode, prepare -> batches -> model -> sink
//
// The queues between them are bounded by the number of workers and the batch, so its memory does not depend on how many pictures there are.
// Pictures that cannot be read travel along with their reason, so that the sink sees everything in order.
type pipeline struct {
	model   model.Model
	options decode.Options
	image   image.Options
	workers int
	batch   int
	patient time.Duration                         // how long a batch that is not full waits for the next picture; 0: until there is one
	load    func(input.Input) (*image.RGB, error) // reads a picture; nil for files
	keep    bool                                  // results keep their picture's bytes
	show    bool                                  // results keep a thumbnail

	times struct{ decode, caption, write atomic.Int64 } // nanoseconds; decode is the sum over all workers
}

// item is a picture on its way through the queue.
type item struct {
	output.Result
	pixels *image.RGB
	id     uint64 // of the prepared pixels, for draws
	ready  chan struct{}
}

// run feeds the source's inputs through, and hands the results to sink in the source's order, from one goroutine. When ctx ends, the
// batches that are under way are finished, and no others are begun; run then returns errInterrupted. An error of the model or of sink ends the run at once.
func (p *pipeline) run(ctx context.Context, source func(yield func(input.Input) bool), sink func([]*output.Result) error) error {
	stop, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // ends all stages at once
	defer cancel(nil)
	jobs := make(chan *item)
	queue := make(chan *item, p.workers+2*p.batch)
	batches := make(chan []*item, 1)
	done := make(chan []*item, 1)

	var all sync.WaitGroup
	for range p.workers {
		all.Go(func() {
			for it := range jobs {
				p.prepare(stop, it)
				close(it.ready)
			}
		})
	}
	taken := make(chan input.Input)
	go func() { // it may wait for standard input for ever: nobody waits for it
		defer close(taken)
		source(func(in input.Input) bool {
			select {
			case taken <- in:
				return true
			case <-ctx.Done():
			case <-stop.Done():
			}
			return false
		})
	}()
	all.Go(func() {
		defer close(jobs)
		defer close(queue)
		feed(ctx, stop, taken, queue, jobs)
	})
	all.Go(func() { defer close(batches); p.gather(ctx, stop, queue, batches) })
	all.Go(func() {
		defer close(done)
		for items := range batches {
			if err := p.caption(stop, items); err != nil {
				cancel(err)
				return
			}
			select {
			case done <- items:
			case <-stop.Done():
				return
			}
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
	if ctx.Err() != nil {
		return console.ErrInterrupted
	}
	return nil
}

// feed puts each input in the queue, which keeps the order, and then to the workers.
func feed(ctx, stop context.Context, taken <-chan input.Input, queue, jobs chan<- *item) {
	for {
		var it *item
		select {
		case in, open := <-taken:
			if !open {
				return
			}
			it = &item{Result: output.Result{Input: in}, ready: make(chan struct{})}
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
		if it.Err != nil || it.Skip {
			close(it.ready)
			continue
		}
		select {
		case jobs <- it:
		case <-stop.Done():
			return
		}
	}
}

// prepare reads one picture and makes the model's input of it.
func (p *pipeline) prepare(ctx context.Context, it *item) {
	start := time.Now()
	defer func() { p.times.decode.Add(int64(time.Since(start))) }()
	img, err := p.decode(ctx, it)
	if err != nil {
		it.Err = err
		return
	}
	it.pixels = p.model.Prepare(img)
	if p.options.Sample {
		h := fnv.New64a()
		h.Write(it.pixels.Pix)
		it.id = h.Sum64()
	}
}

func (p *pipeline) decode(ctx context.Context, it *item) (*image.RGB, error) {
	if p.load != nil {
		return p.load(it.Input)
	}
	b, err := it.bytes(ctx)
	if err != nil {
		return nil, fmt.Errorf("read image %q: %w", it.Path, err)
	}
	img, err := image.Decode(b, p.image)
	if err != nil {
		return nil, fmt.Errorf("read image %q: %w", it.Path, err)
	}
	if p.keep {
		it.Data = b
	}
	if p.show {
		if it.Thumbnail, err = report.Thumbnail(img); err != nil {
			return nil, fmt.Errorf("shrink %q: %w", it.Path, err)
		}
	}
	return img, nil
}

// bytes reads the picture, wherever it is, and notes what its file looked like.
func (it *item) bytes(ctx context.Context) ([]byte, error) {
	if it.Open != nil {
		return it.Open(ctx)
	}
	if info, err := os.Stat(it.Path); err == nil {
		it.Stamp = input.StampOf(info)
	}
	return image.ReadFile(it.Path)
}

// gather makes batches of what is ready. A batch goes when it is full, or when the next picture is not there soon: a list that comes in slowly
// is captioned as it comes. Without that patience, which pictures make up a batch depends on nothing but their order: the last digits of a
// log-probability depend on its batch, and a run that goes on shall write what an uninterrupted one does. Pictures that are skipped or cannot
// be read fill no batch. When ctx ends, what has not become a batch is dropped.
func (p *pipeline) gather(ctx, stop context.Context, queue <-chan *item, batches chan<- []*item) {
	var items []*item
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
		if len(items) > 0 && p.patient > 0 {
			late = time.After(p.patient)
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
			if (good == p.batch || len(items) == 64*p.batch) && !send() {
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

// caption fills in the captions of a batch.
func (p *pipeline) caption(ctx context.Context, items []*item) error {
	start := time.Now()
	defer func() { p.times.caption.Add(int64(time.Since(start))) }()
	var images []*image.RGB
	var good []*item
	o := p.options
	for _, it := range items {
		if it.pixels != nil {
			images, good = append(images, it.pixels), append(good, it)
			if o.Sample {
				o.IDs = append(o.IDs, it.id)
			}
		}
	}
	if len(good) == 0 {
		return nil
	}
	captions, err := p.model.Caption(ctx, images, o)
	if err != nil {
		return model.SearchHint(err, p.model)
	}
	for i, it := range good {
		it.Caption = captions[i]
		it.pixels = nil
	}
	return nil
}

func (p *pipeline) hand(items []*item, sink func([]*output.Result) error) error {
	start := time.Now()
	defer func() { p.times.write.Add(int64(time.Since(start))) }()
	results := make([]*output.Result, len(items))
	for i, it := range items {
		results[i] = &it.Result
	}
	return sink(results)
}
