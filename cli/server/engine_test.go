package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"captioner/data/image"
	"captioner/models/decode"
)

// bench is an engine over a fake, without a service.
type bench struct {
	*engine
	handle *handle
	all    sync.WaitGroup
}

func newBench(f *fake, max int, patience time.Duration) *bench {
	b := &bench{engine: newEngine(max, patience, 100, quietLog(), func(int, time.Duration) {})}
	b.handle = newRegistry(f, func(error) {}).acquire()
	return b
}

// put lets an image wait in the queue; what it is answered comes on the channel.
func (b *bench) put(ctx context.Context, red byte, o decode.Options) <-chan error {
	j := newJob(ctx, b.handle, taskCaption, o)
	j.pixels = &image.RGB{Pix: []byte{red, 0, 0}, W: 1, H: 1}
	out := make(chan error, 1)
	if err := b.accept(1, time.Hour); err != nil {
		out <- err
		return out
	}
	b.prepare(+1)
	b.all.Go(func() {
		defer b.leave()
		err := b.do(j)
		if err == nil && j.caption.Text != b.handle.Model.(*fake).words(j.pixels) {
			err = errors.New("the caption of another image: " + j.caption.Text)
		}
		out <- err
	})
	synctest.Wait()
	return out
}

func TestALoneImageDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "f"}
		b := newBench(f, 4, time.Second)
		start := time.Now()
		if err := <-b.put(t.Context(), 1, decode.DefaultOptions()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("waited %v, want 0: nobody else is on the way", d)
		}
		b.stop()
	})
}

func TestABatchWaitsForImagesOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "f"}
		b := newBench(f, 4, 5*time.Millisecond)
		b.prepare(+1)
		start := time.Now()
		first := b.put(t.Context(), 1, decode.DefaultOptions())
		time.Sleep(2 * time.Millisecond)
		second := b.put(t.Context(), 2, decode.DefaultOptions())
		if err := errors.Join(<-first, <-second); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 5*time.Millisecond {
			t.Errorf("the batch went after %v, want 5ms", d)
		}
		if got := f.sizes(); !slices.Equal(got, []int{2}) {
			t.Errorf("batches %v, want [2]", got)
		}
		// And when the last one on the way is there or gone, it goes at once.
		start = time.Now()
		third := b.put(t.Context(), 3, decode.DefaultOptions())
		time.Sleep(time.Millisecond)
		b.prepare(-1)
		if err := <-third; err != nil || time.Since(start) != time.Millisecond {
			t.Errorf("got %v after %v, want nil after 1ms", err, time.Since(start))
		}
		b.stop()
	})
}

func TestBatchesHoldWhatWaitsUpToTheirSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "f", hold: make(chan struct{})}
		b := newBench(f, 4, time.Second)
		var answers []<-chan error
		for i := range 10 {
			answers = append(answers, b.put(t.Context(), byte(i), decode.DefaultOptions()))
		}
		close(f.hold)
		for _, a := range answers {
			if err := <-a; err != nil {
				t.Error(err)
			}
		}
		if got := f.sizes(); !slices.Equal(got, []int{1, 4, 4, 1}) {
			t.Errorf("batches %v, want [1 4 4 1]", got)
		}
		b.stop()
	})
}

// An image with options of its own is captioned in its turn, however many others come.
func TestOptionsDoNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "f", hold: make(chan struct{})}
		b := newBench(f, 4, time.Second)
		usual, own := decode.DefaultOptions(), decode.DefaultOptions()
		own.Beam = 1
		for red := range byte(3) {
			b.put(t.Context(), red, usual)
		}
		mine := b.put(t.Context(), 99, own)
		for red := range byte(20) {
			b.put(t.Context(), 10+red, usual)
		}
		for range 3 {
			f.hold <- struct{}{}
			synctest.Wait()
		}
		select {
		case err := <-mine:
			if err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("the image with its own options is not in the first 3 batches: %v", f.batches)
		}
		close(f.hold)
		b.all.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, batch := range f.batches {
			if slices.Contains(batch, "99") && (len(batch) != 1 || f.options[i].Beam != 1) {
				t.Errorf("batch %v has beam %d, want the image alone with beam 1", batch, f.options[i].Beam)
			}
		}
		b.stop()
	})
}

func TestWhoLeavesCostsNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "f", hold: make(chan struct{})}
		b := newBench(f, 4, time.Second)
		running, stopRunning := context.WithCancel(t.Context())
		first := b.put(running, 1, decode.DefaultOptions())
		waiting, stopWaiting := context.WithCancel(t.Context())
		second := b.put(waiting, 2, decode.DefaultOptions())
		third := b.put(t.Context(), 3, decode.DefaultOptions())
		stopWaiting()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: got %v, want context.Canceled", err)
		}
		stopRunning() // the only one of its batch: the model is told
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("running: got %v, want context.Canceled", err)
		}
		synctest.Wait()
		if f.cut != 1 {
			t.Errorf("%d batches were cut off, want 1", f.cut)
		}
		f.hold <- struct{}{}
		if err := <-third; err != nil {
			t.Error(err)
		}
		if got := f.batches; len(got) != 2 || !slices.Equal(got[1], []string{"3"}) {
			t.Errorf("batches %v, want [[1] [3]]", got)
		}
		b.all.Wait()
		if b.depth() != 0 {
			t.Errorf("%d places are held, want 0", b.depth())
		}
		b.stop()
	})
}

func TestABadImageSpoilsNoOther(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func() error{
		"error": func() error { return broken },
		"panic": func() error { panic("bug") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{name: "f", hold: make(chan struct{}), fail: func(images []*image.RGB) error {
					for _, m := range images {
						if m.Pix[0] == 2 {
							return fail()
						}
					}
					return nil
				}}
				b := newBench(f, 4, time.Second)
				var answers []<-chan error
				for red := range byte(4) {
					answers = append(answers, b.put(t.Context(), red, decode.DefaultOptions()))
				}
				close(f.hold)
				for i, a := range answers {
					if err := <-a; (err != nil) != (i == 2) {
						t.Errorf("image %d: got %v", i, err)
					}
				}
				b.stop()
			})
		})
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "f", hold: make(chan struct{})}
		b := newBench(f, 4, time.Second)
		b.limit = 3
		for red := range byte(3) {
			b.put(t.Context(), red, decode.DefaultOptions())
		}
		if err := b.accept(1, time.Hour); err != errFull {
			t.Errorf("got %v, want errFull", err)
		}
		b.refuseNew()
		if err := b.accept(1, time.Hour); err != errDraining {
			t.Errorf("got %v, want errDraining", err)
		}
		close(f.hold)
		b.stop() // returns when what was accepted is answered
		if got := f.sizes(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("batches %v, want [1 2]", got)
		}
	})
}

// A queue that cannot be answered in time is too long, however many places it has.
func TestTheQueueIsBoundedByItsTime(t *testing.T) {
	start := time.Now()
	e := &engine{limit: 1000}
	if err := e.accept(200, 10*time.Second); err != nil {
		t.Errorf("before anything is known of the speed: got %v, want places", err)
	}
	e.measure(slices.Repeat([]*job{{accepted: start}}, 16), start.Add(time.Second))
	// It waited for the first: 16 a second still.
	e.measure(slices.Repeat([]*job{{accepted: start}}, 16), start.Add(2*time.Second))
	e.accepted = 79
	if err := e.accept(1, 15*time.Second); err != nil {
		t.Errorf("the 80th, 5 s of 15: got %v, want a place", err)
	}
	if err := e.accept(1, 15*time.Second); err != errLate {
		t.Errorf("the 81st: got %v, want errLate", err)
	}
	if err := e.accept(1, time.Minute); err != nil {
		t.Errorf("the 81st with a minute: got %v, want a place", err)
	}
	e.accepted = 0
	if err := e.accept(500, 10*time.Second); err != nil {
		t.Errorf("500 while nobody waits: got %v, want places", err)
	}
}

func TestRetryAfterFollowsTheSpeed(t *testing.T) {
	e := &engine{}
	if got := e.retryAfter(); got != 1 {
		t.Errorf("without a measurement: got %d, want 1", got)
	}
	start := time.Now()
	e.measure(slices.Repeat([]*job{{accepted: start}}, 10), start.Add(time.Second))
	e.accepted = 95
	if got := e.retryAfter(); got != 10 {
		t.Errorf("95 images at 10 a second: got %d, want 10", got)
	}
	e.accepted = 1e6
	if got := e.retryAfter(); got != 60 {
		t.Errorf("very many: got %d, want 60", got)
	}
}

func TestAReplacedModelEndsWithItsLastUser(t *testing.T) {
	a, b := &fake{name: "a"}, &fake{name: "b"}
	s := newRegistry(a, func(error) {})
	user := s.acquire()
	again := user.share()
	s.replace(b)
	user.release()
	if a.closed != 0 {
		t.Error("a was closed while it was in use")
	}
	again.release()
	if a.closed != 1 {
		t.Errorf("a was closed %d times, want once", a.closed)
	}
	if m := s.acquire(); m.info.Name != "b" {
		t.Errorf("got %s, want b", m.info.Name)
	} else {
		m.release()
	}
	s.close()
	if b.closed != 1 {
		t.Errorf("b was closed %d times, want once", b.closed)
	}
}
