package server

import (
	"context"
	"sync"
	"time"

	"captioner/data/image"
	"captioner/models/decode"
)

// Model is what the service needs of a captioner. Encode and Prepare may be called from any goroutine; the others are called by one at a time.
type Model interface {
	Info() Info
	Encode(text string) []int32
	Prepare(*image.RGB) *image.RGB
	// Caption captions prepared pictures, one answer each, in their order. The answers do not depend on the batch.
	Caption(context.Context, []*image.RGB, decode.Options) ([]Caption, error)
	// Features gives Places·Width numbers a picture, a vector a place.
	Features(context.Context, []*image.RGB) ([][]float32, error)
	// CaptionFeatures is Caption for what Features gave; each entry has Places·Width numbers.
	CaptionFeatures(context.Context, [][]float32, decode.Options) ([]Caption, error)
	Close() error
}

// Info describes a model to clients. It must hold nothing that they should not see.
type Info struct {
	Name          string
	SHA256        string
	Device        string
	Licence       string
	Data          string
	Defaults      decode.Options // with its own begin and end tokens
	Positions     int            // most tokens of a text, the prompt included
	Places, Width int            // of a picture's features
}

// Caption is what a picture was given.
type Caption struct {
	Text         string
	LogProb      float64 // natural logarithm of the caption's probability under the model
	Confidence   float64 // geometric mean of its tokens' probabilities, 0 to 1
	Alternatives []Caption
}

// lease is a model in use. A model that was replaced is closed when its last lease ends.
type lease struct {
	Model
	info   Info
	loaded time.Time

	shelf *shelf
	users int  // guarded by shelf.mu
	old   bool // another one took its place
}

// shelf holds the model that new requests get.
type shelf struct {
	mu      sync.Mutex
	current *lease
	left    sync.WaitGroup // models that are not closed
	failed  func(error)    // told when a replaced model cannot be closed
}

func newShelf(m Model, failed func(error)) *shelf {
	s := &shelf{failed: failed}
	s.put(m)
	return s
}

// put makes m the model of all requests to come.
func (s *shelf) put(m Model) {
	l := &lease{Model: m, info: m.Info(), loaded: time.Now(), shelf: s}
	s.left.Add(1)
	s.mu.Lock()
	before := s.current
	s.current = l
	idle := before.retire()
	s.mu.Unlock()
	if idle {
		before.close()
	}
}

// retire says that l gets no new users, and whether it has none left. The shelf is locked.
func (l *lease) retire() bool {
	if l == nil {
		return false
	}
	l.old = true
	return l.users == 0
}

// take hands out the current model until release.
func (s *shelf) take() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.users++
	return s.current
}

// again is one more user of a model that is in use.
func (l *lease) again() *lease {
	l.shelf.mu.Lock()
	defer l.shelf.mu.Unlock()
	l.users++
	return l
}

func (l *lease) release() {
	l.shelf.mu.Lock()
	l.users--
	last := l.users == 0 && l.old
	l.shelf.mu.Unlock()
	if last {
		l.close()
	}
}

func (l *lease) close() {
	defer l.shelf.left.Done()
	if err := l.Model.Close(); err != nil {
		l.shelf.failed(err)
	}
}

// clear closes the current model and waits for those that are still in use.
func (s *shelf) clear() {
	s.mu.Lock()
	l := s.current
	s.current = nil
	idle := l.retire()
	s.mu.Unlock()
	if idle {
		l.close()
	}
	s.left.Wait()
}
