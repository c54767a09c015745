package server

import (
	"context"
	"strings"
	"sync"
	"time"

	"captioner/cli/server/ollama"
	"captioner/cli/server/problem"
	"captioner/data/image"
	"captioner/models/decode"
)

// Model is what the service needs of a captioner. Encode and Prepare may be called from any goroutine; the others are
// called by one at a time.
type Model interface {
	Info() Info
	Encode(text string) []int32
	Prepare(*image.RGB) *image.RGB
	// Caption captions prepared images, one answer each, in their order. The answers do not depend on the batch.
	Caption(context.Context, []*image.RGB, decode.Options) ([]decode.Caption, error)
	// Features gives Vectors·Width numbers for each image, one vector after the other.
	Features(context.Context, []*image.RGB) ([][]float32, error)
	// CaptionFeatures is Caption for what Features gave; each entry has Vectors·Width numbers.
	CaptionFeatures(context.Context, [][]float32, decode.Options) ([]decode.Caption, error)
	Close() error
}

// Info describes a model to clients. It must hold nothing that they should not see.
type Info struct {
	Name           string
	SHA256         string
	Device         string
	Licence        string
	Data           string
	Defaults       decode.Options // with its own begin and end tokens
	Positions      int            // most tokens of a text, the prompt included
	Vectors, Width int            // of an image's features
	UncertainBelow float64        // confidence below which a caption is a guess
}

// handle is a model in use. A model that was replaced is closed when its last handle ends.
type handle struct {
	Model
	info   Info
	loaded time.Time

	registry *registry
	users    int  // guarded by registry.mu
	old      bool // another one took its place
}

// registry holds the model that new requests get.
type registry struct {
	mu      sync.Mutex
	current *handle
	left    sync.WaitGroup // models that are not closed
	failed  func(error)    // called when a replaced model cannot be closed
}

func newRegistry(m Model, failed func(error)) *registry {
	s := &registry{failed: failed}
	s.replace(m)
	return s
}

// replace makes m the model of all later requests.
func (s *registry) replace(m Model) {
	l := &handle{Model: m, info: m.Info(), loaded: time.Now(), registry: s}
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

// retire says that l gets no new users, and whether it has none left. The registry is locked.
func (l *handle) retire() bool {
	if l == nil {
		return false
	}
	l.old = true
	return l.users == 0
}

// acquire hands out the current model. Its user calls release.
func (s *registry) acquire() *handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.users++
	return s.current
}

// share adds a user to a model that is in use.
func (l *handle) share() *handle {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	l.users++
	return l
}

func (l *handle) release() {
	l.registry.mu.Lock()
	l.users--
	last := l.users == 0 && l.old
	l.registry.mu.Unlock()
	if last {
		l.close()
	}
}

func (l *handle) close() {
	defer l.registry.left.Done()
	if err := l.Model.Close(); err != nil {
		l.registry.failed(err)
	}
}

// close closes the current model, and waits until all models are closed.
func (s *registry) close() {
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

// knows refuses the names of models that are not served. The name captioner stands for the one that is.
func (s *registry) knows(name string) error {
	m := s.acquire()
	defer m.release()
	switch strings.TrimSuffix(name, ollama.Tag) {
	case m.info.Name, "captioner":
		return nil
	}
	p := problem.New("unknown-model", "found the model %.60q, want %q", name, m.info.Name)
	p.Param = "model"
	return p
}

// longest is the longest caption that the model gives by itself, in tokens.
func (s *registry) longest() int {
	m := s.acquire()
	defer m.release()
	return m.info.Defaults.MaxLen
}
