package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"captioner/data/image"
	"captioner/models/decode"
	"captioner/weights/plural"
)

// task says what the model does with an image.
type task uint8

const (
	taskCaption         task = iota // of pixels
	taskFeatures                    // of pixels
	taskCaptionFeatures             // a caption of features
)

// job is one image on its way through the model.
type job struct {
	ctx      context.Context
	model    *handle
	task     task
	options  decode.Options // IDs unset
	group    string         // jobs of one group may share a batch
	pixels   *image.RGB     // prepared
	features []float32
	id       uint64 // of the image, for draws
	accepted time.Time
	queued   time.Time

	done     chan struct{} // closed when the rest is set
	caption  decode.Caption
	vector   []float32
	err      error
	started  time.Time
	finished time.Time
	batch    int // how many images went through the model with it
}

// newJob makes a job whose group says everything that a batch must have in common.
func newJob(ctx context.Context, m *handle, t task, o decode.Options) *job {
	return &job{
		ctx:      ctx,
		model:    m,
		task:     t,
		options:  o,
		group:    fmt.Sprintf("%p %d %+v", m, t, o),
		accepted: time.Now(),
		done:     make(chan struct{}),
	}
}

var (
	errFull     = errors.New("the queue is full")
	errLate     = errors.New("the queue is too long for the time that there is")
	errDraining = errors.New("the service is stopping")
)

// engine puts jobs together in batches and runs one batch after the other.
//
// A batch is led by the oldest job that waits and holds the oldest others of its group, up to max. It goes when it is
// full, when no image is being decoded that might still join it, or when its leader has waited for patience.
type engine struct {
	max      int           // images a batch
	patience time.Duration // that a batch waits for more
	limit    int           // images accepted and not answered
	log      *slog.Logger
	seen     func(images int, took time.Duration) // called after each batch

	mu        sync.Mutex
	accepted  int    // images that hold a place
	preparing int    // of these, images that are not decoded yet
	waiting   []*job // of these, decoded ones, oldest first
	stopping  bool
	wake      chan struct{} // holds one token when the state above changed
	stopped   chan struct{}

	rate atomic.Uint64 // images a second lately, bits of a float64
	last time.Time     // when the last batch was done; for run alone
}

func newEngine(max int, patience time.Duration, limit int, log *slog.Logger, seen func(int, time.Duration)) *engine {
	e := &engine{
		max:      max,
		patience: patience,
		limit:    limit,
		log:      log,
		seen:     seen,
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	go e.run()
	return e
}

// accept takes places in the queue for n images that must be answered within a time. It takes all or none: then the
// error is errFull, errLate or errDraining. The caller gives each place back by leave.
func (e *engine) accept(n int, within time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.fits(n, within)
	if err == nil {
		e.accepted += n
	}
	return err
}

// room says whether accept would succeed now.
func (e *engine) room(n int, within time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fits(n, within)
}

// fits bounds the queue by its length, and by what can be answered in a third of the time within: then accepted images
// are still answered when the model becomes three times as slow. An empty queue takes any number.
func (e *engine) fits(n int, within time.Duration) error {
	rate := math.Float64frombits(e.rate.Load())
	switch {
	case e.stopping:
		return errDraining
	case e.accepted+n > e.limit:
		return errFull
	case e.accepted > 0 && rate > 0 && float64(e.accepted+n) > rate*within.Seconds()/3:
		return errLate
	}
	return nil
}

func (e *engine) leave() {
	e.mu.Lock()
	e.accepted--
	e.mu.Unlock()
	e.signal()
}

// depth is how many images hold a place.
func (e *engine) depth() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.accepted
}

// prepare counts images that will come to do. do counts each off; -1 is for an image that does not come.
func (e *engine) prepare(by int) {
	e.mu.Lock()
	e.preparing += by
	e.mu.Unlock()
	if by < 0 {
		e.signal()
	}
}

func (e *engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// do runs j, which prepare has counted, and returns when it is done or its context ends. A job whose context ends
// leaves the queue; one that is in the model already has its answer thrown away.
func (e *engine) do(j *job) error {
	j.queued = time.Now()
	e.mu.Lock()
	e.waiting = append(e.waiting, j)
	e.preparing-- // under one lock: the image is always counted as one or the other
	e.mu.Unlock()
	e.signal()
	select {
	case <-j.done:
		return j.err
	case <-j.ctx.Done():
	}
	e.mu.Lock()
	if i := slices.Index(e.waiting, j); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
	}
	e.mu.Unlock()
	e.signal()
	return context.Cause(j.ctx)
}

// refuseNew makes accept refuse from now on.
func (e *engine) refuseNew() {
	e.mu.Lock()
	e.stopping = true
	e.mu.Unlock()
	e.signal()
}

// stop ends the engine when nothing is accepted any more and nothing waits.
func (e *engine) stop() {
	e.refuseNew()
	<-e.stopped
}

func (e *engine) run() {
	defer close(e.stopped)
	for {
		jobs, ok := e.next()
		if !ok {
			return
		}
		e.work(jobs)
	}
}

// next waits for a batch; false when the engine stops.
func (e *engine) next() ([]*job, bool) {
	var timer *time.Timer
	for {
		e.mu.Lock()
		jobs, wait := e.gather(time.Now())
		over := e.stopping && e.accepted == 0 && len(e.waiting) == 0
		e.mu.Unlock()
		switch {
		case len(jobs) > 0:
			return jobs, true
		case over:
			return nil, false
		}
		var late <-chan time.Time
		if wait > 0 {
			timer = time.NewTimer(wait)
			late = timer.C
		}
		select {
		case <-e.wake:
		case <-late:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// gather takes a batch out of the queue, or says how long to wait for more images. Jobs whose context ended are
// dropped.
func (e *engine) gather(now time.Time) ([]*job, time.Duration) {
	e.waiting = slices.DeleteFunc(e.waiting, func(j *job) bool { return j.ctx.Err() != nil })
	if len(e.waiting) == 0 {
		return nil, 0
	}
	group := e.waiting[0].group
	jobs := make([]*job, 0, e.max)
	for _, j := range e.waiting {
		if j.group == group && len(jobs) < e.max {
			jobs = append(jobs, j)
		}
	}
	if wait := e.patience - now.Sub(e.waiting[0].queued); len(jobs) < e.max && e.preparing > 0 && wait > 0 {
		return nil, wait
	}
	left, taken := e.waiting[:0], 0
	for _, j := range e.waiting {
		if taken < len(jobs) && j == jobs[taken] {
			taken++
			continue
		}
		left = append(left, j)
	}
	clear(e.waiting[len(left):])
	e.waiting = left
	return jobs, 0
}

// work runs a batch. Where it fails as a whole, each job gets a try of its own, so that one cannot spoil the others.
func (e *engine) work(jobs []*job) {
	ctx, cancel := wanted(jobs)
	defer cancel()
	start := time.Now()
	err := e.call(ctx, jobs)
	if err != nil && len(jobs) > 1 && ctx.Err() == nil {
		e.log.Error("a batch failed, its images are tried one by one", "images", len(jobs), "error", err)
		for i := range jobs {
			jobs[i].err = e.call(ctx, jobs[i:i+1])
		}
	} else {
		for _, j := range jobs {
			j.err = err
		}
	}
	end := time.Now()
	for _, j := range jobs {
		j.started, j.finished, j.batch = start, end, len(jobs)
	}
	e.measure(jobs, end)
	e.seen(len(jobs), end.Sub(start))
	for _, j := range jobs {
		close(j.done)
	}
}

// wanted is a context that ends when the contexts of all jobs have ended.
func wanted(jobs []*job) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var left atomic.Int64
	left.Store(int64(len(jobs)))
	var stops []func() bool
	for _, j := range jobs {
		stops = append(stops, context.AfterFunc(j.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// call runs the model. A panic in it is an error of this batch alone.
func (e *engine) call(ctx context.Context, jobs []*job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e.log.Error("the model panicked", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("the model panicked: %v", r)
		}
	}()
	m, o := jobs[0].model, jobs[0].options
	var images []*image.RGB
	var features [][]float32
	for _, j := range jobs {
		images, features = append(images, j.pixels), append(features, j.features)
		if o.Sample {
			o.IDs = append(o.IDs, j.id)
		}
	}
	var captions []decode.Caption
	var vectors [][]float32
	switch jobs[0].task {
	case taskCaption:
		captions, err = m.Caption(ctx, images, o)
	case taskCaptionFeatures:
		captions, err = m.CaptionFeatures(ctx, features, o)
	default:
		vectors, err = m.Features(ctx, images)
	}
	if err == nil && len(captions)+len(vectors) != len(jobs) {
		err = fmt.Errorf("the model gave %s for %s", plural.Count(len(captions)+len(vectors), "answer"),
			plural.Count(len(jobs), "image"))
	}
	if err != nil {
		return err
	}
	for i, j := range jobs {
		if vectors != nil {
			j.vector = vectors[i]
		} else {
			j.caption = captions[i]
		}
	}
	return nil
}

// measure keeps a moving mean of the speed. The time of a batch is what has passed since the one before, or since its
// first image came: the decoding of images that the model had to wait for counts, and an empty queue does not.
func (e *engine) measure(jobs []*job, end time.Time) {
	from := jobs[0].accepted
	if from.Before(e.last) {
		from = e.last
	}
	e.last = end
	now := float64(len(jobs)) / max(end.Sub(from).Seconds(), 1e-6)
	before := math.Float64frombits(e.rate.Load())
	if before > 0 {
		now = before + .2*(now-before)
	}
	e.rate.Store(math.Float64bits(now))
}

// retryAfter estimates in how many seconds the images in the queue are answered.
func (e *engine) retryAfter() int {
	rate := math.Float64frombits(e.rate.Load())
	if rate <= 0 {
		return 1
	}
	return int(min(max(math.Ceil(float64(e.depth())/rate), 1), 60))
}
