package server

import (
	"context"
	"fmt"
	"slices"
	"strconv"
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
	Pads           bool           // features may be shorter, as clip-text-decoder takes them
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

// registry holds the models that new requests get: the first one where they name none.
type registry struct {
	mu     sync.Mutex
	models []*handle
	left   sync.WaitGroup // models that are not closed
	failed func(error)    // called when a replaced model cannot be closed
}

func newRegistry(m Model, failed func(error)) *registry {
	s := &registry{failed: failed}
	s.models = []*handle{s.handle(m)}
	return s
}

func (s *registry) handle(m Model) *handle {
	s.left.Add(1)
	return &handle{Model: m, info: m.Info(), loaded: time.Now(), registry: s}
}

// add puts a model beside the others. Its name must be one that none of them has.
func (s *registry) add(m Model) error {
	name := m.Info().Name
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(name) >= 0 {
		return fmt.Errorf("two models have the name %q", name)
	}
	s.models = append(s.models, s.handle(m))
	return nil
}

// find is the place of the model of a name, or -1. The registry is locked.
func (s *registry) find(name string) int {
	return slices.IndexFunc(s.models, func(l *handle) bool { return l.info.Name == name })
}

// replace makes m the model of all later requests for its name, or for the first model where none has its name.
func (s *registry) replace(m Model) {
	l := s.handle(m)
	s.mu.Lock()
	at := max(s.find(l.info.Name), 0)
	before := s.models[at]
	s.models[at] = l
	idle := before.retire()
	s.mu.Unlock()
	if idle {
		before.close()
	}
}

// retire says that l gets no new users, and whether it has none left. The registry is locked.
func (l *handle) retire() bool {
	l.old = true
	return l.users == 0
}

// acquire hands out the first model. Its user calls release.
func (s *registry) acquire() *handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models[0].users++
	return s.models[0]
}

// anyModel is the name that stands for the first model.
const anyModel = "captioner"

// named hands out the model of a name.
func (s *registry) named(name string) (*handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.TrimSuffix(name, ollama.Tag)
	at := s.find(name)
	if at < 0 && name == anyModel {
		at = 0
	}
	if at < 0 {
		var names []string
		for _, l := range s.models {
			names = append(names, strconv.Quote(l.info.Name))
		}
		p := problem.New("unknown-model", "found the model %.60q, want %s", name, strings.Join(names, " or "))
		p.Param = "model"
		return nil, p
	}
	s.models[at].users++
	return s.models[at], nil
}

// all hands out all models.
func (s *registry) all() []*handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.models {
		l.users++
	}
	return slices.Clone(s.models)
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

// close closes all models, and waits until they are closed.
func (s *registry) close() {
	s.mu.Lock()
	var idle []*handle
	for _, l := range s.models {
		if l.retire() {
			idle = append(idle, l)
		}
	}
	s.models = nil
	s.mu.Unlock()
	for _, l := range idle {
		l.close()
	}
	s.left.Wait()
}
