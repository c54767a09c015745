package torch

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// job is one function on its way to the torch thread.
type job struct {
	f    func() error
	err  error
	pan  any
	exit bool // f ended by runtime.Goexit, as testing's FailNow does
	done chan struct{}
}

var (
	startOnce sync.Once
	jobs      = make(chan *job)
	threadID  atomic.Int64 // the kernel's id of the torch thread
)

// Do runs f on the torch thread, in a scope of its own, and waits for it. Calls queue; a context that ends while
// waiting gives up the place in the queue (f itself is never interrupted: long work looks at ctx). Inside f, a nested
// Do runs at once, in a nested scope.
//
// Do returns f's error, or the *OpError of the op that failed. Any other panic is raised again in the caller.
func Do(ctx context.Context, f func() error) error {
	if onThread() {
		return runScoped(f)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	startOnce.Do(func() { go serve() })
	j := &job{f: f, done: make(chan struct{})}
	select {
	case jobs <- j:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrClosed, ctx.Err())
	}
	<-j.done
	if j.pan != nil {
		panic(j.pan)
	}
	if j.exit {
		runtime.Goexit()
	}
	return j.err
}

// onThread says whether the calling goroutine is the one on the torch thread: that thread is locked, so no other
// goroutine runs there.
func onThread() bool { return threadID.Load() == thread() }

// serve is the torch thread. It never unlocks: grad mode, autocast and OpenMP's worker pool belong to this thread.
func serve() {
	runtime.LockOSThread()
	threadID.Store(thread())
	keepMemory()
	spread()
	idle := time.NewTimer(idleTime)
	for {
		select {
		case j := <-jobs:
			run(j)
			idle.Reset(idleTime)
		case <-idle.C:
			ReleaseMemory()
		}
	}
}

func run(j *job) {
	finished := false
	defer func() {
		if !finished {
			if j.pan = recover(); j.pan == nil { // Goexit: this goroutine and its thread end, a new thread takes over
				j.exit = true
				threadID.Store(0)
				resetThread()
				go serve()
			}
		}
		close(j.done)
	}()
	j.err = runScoped(j.f)
	finished = true
}

// runScoped runs f in a new scope and restores scope and modes whatever happens.
func runScoped(f func() error) (err error) {
	s := enter()
	m := currentModes()
	defer func() {
		m.restore()
		s.leave()
		if r := recover(); r != nil {
			op, ok := r.(opPanic)
			if !ok {
				panic(r)
			}
			err = op.err
		}
	}()
	return f()
}
