package server

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"captioner/cli/server/problem"
	"captioner/data/image"
	"captioner/models/decode"
	"captioner/weights/plural"
)

var errDeadline = errors.New("the deadline is past")

// outcome is the result for one image: what the model gave, or an error.
type outcome struct {
	index  int
	upload upload
	job    *job // what the model did; nil where err is set
	err    error
	decode time.Duration
}

// session is one request under way.
type session struct {
	s       *Server
	r       *http.Request
	a       *asked
	model   *handle
	options decode.Options
	start   time.Time
}

// open reads a request and takes places in the queue for its images. What is returned must be closed.
func (s *Server) open(
	w http.ResponseWriter, r *http.Request, rd reader,
) (*session, context.Context, func(), error) {
	start := time.Now()
	if err := s.engine.room(1, s.o.Timeout); err != nil { // before the body is read: a full queue refuses at once
		return nil, nil, nil, err
	}
	rd.limits, rd.budget = &s.o, s.budget
	a, err := rd.read(w, r)
	if err != nil {
		return nil, nil, nil, err
	}
	return s.begin(r, a, start)
}

// begin takes places in the queue for the images of a request that was read. What is returned must be closed.
func (s *Server) begin(r *http.Request, a *asked, start time.Time) (*session, context.Context, func(), error) {
	within, err := a.settings.within(s.o.Timeout)
	if err != nil {
		a.free()
		return nil, nil, nil, err
	}
	m, err := s.registry.named(or(a.settings.Model, anyModel))
	if err != nil {
		a.free()
		return nil, nil, nil, err
	}
	n := &session{s: s, r: r, a: a, model: m, start: start}
	if n.options, err = a.settings.apply(n.model, &s.o); err == nil {
		err = s.engine.accept(a.count(), within)
	}
	if err != nil {
		n.model.release()
		a.free()
		return nil, nil, nil, err
	}
	settled := s.conns.Settle(r.Context())
	ctx, cancel := context.WithDeadlineCause(r.Context(), start.Add(within), errDeadline)
	return n, ctx, func() {
		cancel()
		settled()
		n.model.release()
		a.free()
	}, nil
}

// each works on all images at the same time, and sends each outcome when it is there.
func (n *session) each(ctx context.Context, t task) <-chan outcome {
	out := make(chan outcome, n.a.count())
	n.s.engine.prepare(n.a.count())
	var all sync.WaitGroup
	for i := range n.a.count() {
		m := n.model.share()
		all.Go(func() {
			defer n.s.engine.leave()
			defer m.release()
			out <- n.one(ctx, t, i)
		})
	}
	go func() {
		all.Wait()
		close(out)
	}()
	return out
}

// one takes one image through decoding and the model.
func (n *session) one(ctx context.Context, t task, i int) outcome {
	o := outcome{index: i}
	j := newJob(ctx, n.model, t, n.options)
	if t == taskCaptionFeatures {
		j.features = n.a.embeddings[i]
		j.id = checksum(base64Floats(j.features))
	} else {
		o.upload = n.a.uploads[i]
		n.a.uploads[i].bytes = nil // the job needs pixels only
		if o.err = enter(ctx, n.s.decoded); o.err == nil {
			defer func() { <-n.s.decoded }()
			j.pixels, o.decode, o.err = n.decode(ctx, o.upload.bytes)
		}
		o.upload.bytes = nil
		if o.err == nil && n.options.Sample {
			j.id = checksum(string(j.pixels.Pix))
		}
	}
	if o.err != nil {
		n.s.engine.prepare(-1)
		return o
	}
	o.err = n.s.engine.do(j)
	if o.err == nil {
		o.job = j
		n.s.metrics.Image(t != taskFeatures, o.decode, j.started.Sub(j.queued))
	}
	return o
}

// checksum is the number that decides, with the seed, what is drawn for an image: the same as predict's.
func checksum(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// decode turns a file into the model's input as soon as a worker is free. A panic in a decoder is an error of this
// image alone.
func (n *session) decode(ctx context.Context, b []byte) (m *image.RGB, took time.Duration, err error) {
	defer func() {
		if r := recover(); r != nil {
			n.s.log.Error("the decoding of an image panicked", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("the decoding of an image panicked: %v", r)
		}
	}()
	if err := enter(ctx, n.s.workers); err != nil {
		return nil, 0, err
	}
	defer func() { <-n.s.workers }()
	start := time.Now()
	img, err := image.Decode(b, image.Options{Orient: true, MaxPixels: n.s.o.MaxPixels})
	if err != nil {
		return nil, 0, problem.Undecodable(err)
	}
	return n.model.Prepare(img), time.Since(start), nil
}

// enter waits for a place in c, which is full while all places are taken.
func enter(ctx context.Context, c chan struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stages is where the time of an answer went, in milliseconds.
type stages struct {
	Read   ms `json:"read"`   // until the body was there
	Decode ms `json:"decode"` // the image to pixels
	Queue  ms `json:"queue"`  // waiting for the model, and for others of the batch
	Model  ms `json:"model"`  // the batch in the model
	Total  ms `json:"total"`
}

// ms is a time in milliseconds with three decimals.
type ms time.Duration

func (m ms) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(time.Duration(m).Seconds()*1e6)/1e3, 'f', -1, 64), nil
}

func (n *session) stages(o outcome) stages {
	st := stages{Read: ms(n.a.read), Decode: ms(o.decode), Total: ms(time.Since(n.start))}
	if o.job != nil {
		st.Queue, st.Model = ms(o.job.started.Sub(o.job.queued)), ms(o.job.finished.Sub(o.job.started))
	}
	return st
}

// number is written with six decimals at most: further ones depend on the machine.
type number float64

func (x number) MarshalJSON() ([]byte, error) {
	v := math.Round(float64(x)*1e6) / 1e6
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, v, 'f', -1, 64), nil
}

// captionAnswer is the answer for one image.
type captionAnswer struct {
	Index        *int          `json:"index,omitempty"` // in a list
	Name         string        `json:"name,omitempty"`
	Caption      string        `json:"caption"`
	LogProb      number        `json:"logprob"`
	Confidence   number        `json:"confidence"`
	Alternatives []alternative `json:"alternatives"` // the next best, where num_captions is above 1
	Keywords     []keyword     `json:"keywords,omitempty"`
	Model        string        `json:"model"`
	Milliseconds stages        `json:"milliseconds"`
}

type keyword struct {
	Keyword     string `json:"keyword"`
	Probability number `json:"probability"`
}

type alternative struct {
	Caption    string `json:"caption"`
	LogProb    number `json:"logprob"`
	Confidence number `json:"confidence"`
}

// errorAnswer stands in a list for an image that has no answer.
type errorAnswer struct {
	Index int              `json:"index"`
	Name  string           `json:"name,omitempty"`
	Error *problem.Problem `json:"error"`
}

func (n *session) caption(o outcome) captionAnswer {
	c := o.job.caption
	a := captionAnswer{
		Name:         o.upload.name,
		Caption:      c.Text,
		LogProb:      number(c.LogProb),
		Confidence:   number(c.Confidence),
		Alternatives: []alternative{},
		Model:        n.model.info.Name,
		Milliseconds: n.stages(o),
	}
	for _, c := range c.Alternatives {
		a.Alternatives = append(a.Alternatives, alternative{c.Text, number(c.LogProb), number(c.Confidence)})
	}
	for _, k := range c.Keywords {
		a.Keywords = append(a.Keywords, keyword{k.Word, number(k.Probability)})
	}
	if n.a.many {
		a.Index = &o.index
	}
	return a
}

// talk answers with captions, in the form that the client accepts.
func (s *Server) talk(rd reader, t task) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		form := accepted(r.Header.Get("Accept"))
		n, ctx, done, err := s.open(w, r, rd)
		if err != nil {
			return err
		}
		defer done()
		for i, v := range n.a.embeddings {
			if n.a.embeddings[i], err = spread(v, n.model.info); err != nil {
				n.leaveAll()
				return err
			}
		}
		render := func(o outcome) any { return n.caption(o) }
		switch form {
		case "text/event-stream":
			return n.stream(ctx, w, n.each(ctx, t), render)
		case "text/plain":
			return n.plain(w, n.each(ctx, t))
		}
		return n.answer(w, n.each(ctx, t), render)
	}
}

// leaveAll gives the places back of a request that ends before its work.
func (n *session) leaveAll() {
	for range n.a.count() {
		n.s.engine.leave()
	}
}

// answer sends one object, or a list of them with the errors among them.
func (n *session) answer(w http.ResponseWriter, results <-chan outcome, render func(outcome) any) error {
	list, err := n.collect(results)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if !n.a.many {
		_ = writeJSON(w, render(list[0])) // a client that is gone reads no answer
		return nil
	}
	answers := make([]any, len(list))
	for i, o := range list {
		answers[i] = n.entry(o, render)
	}
	_ = writeJSON(w, struct {
		Results      []any  `json:"results"`
		Model        string `json:"model"`
		Milliseconds ms     `json:"milliseconds"`
	}{answers, n.model.info.Name, ms(time.Since(n.start))})
	return nil
}

func (n *session) entry(o outcome, render func(outcome) any) any {
	if o.err == nil {
		return render(o)
	}
	p := n.s.asProblem(n.r, o.err)
	n.s.metrics.Failure(p.Name())
	return errorAnswer{o.index, o.upload.name, p}
}

// collect waits for all outcomes. Where every image failed, the first error is the error of the request.
func (n *session) collect(results <-chan outcome) ([]outcome, error) {
	list := make([]outcome, n.a.count())
	good := 0
	for o := range results {
		list[o.index] = o
		if o.err == nil {
			good++
		}
	}
	if good > 0 {
		return list, nil
	}
	p := n.s.asProblem(n.r, list[0].err)
	if len(list) > 1 {
		p.Detail = fmt.Sprintf("none of %s has an answer; the first: %s", plural.Count(len(list), "image"), p.Detail)
	}
	return nil, p
}

// plain sends a caption a line; an image without one has an empty line.
func (n *session) plain(w http.ResponseWriter, results <-chan outcome) error {
	list, err := n.collect(results)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, o := range list {
		line := ""
		if o.err == nil {
			line = o.job.caption.Text
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return nil // the client is gone
		}
	}
	return nil
}

// embeddingAnswer is the answer for one image; Embedding is a list of numbers, or a string in base64.
type embeddingAnswer struct {
	Index        *int   `json:"index,omitempty"`
	Name         string `json:"name,omitempty"`
	Embedding    any    `json:"embedding"`
	Form         string `json:"form"`
	Places       int    `json:"places"` // vectors in it, one after the other
	Width        int    `json:"width"`  // numbers of a vector
	Model        string `json:"model"`
	Milliseconds stages `json:"milliseconds"`
}

// embeddings answers POST /v1/embeddings.
func (s *Server) embeddings(w http.ResponseWriter, r *http.Request) error {
	n, ctx, done, err := s.open(w, r, reader{forms: true})
	if err != nil {
		return err
	}
	defer done()
	render := func(o outcome) any {
		a := embeddingAnswer{
			Name:         o.upload.name,
			Form:         n.a.form,
			Places:       n.model.info.Vectors,
			Width:        n.model.info.Width,
			Model:        n.model.info.Name,
			Milliseconds: n.stages(o),
		}
		v := o.job.vector
		if n.a.form == "pooled" {
			v, a.Places = pool(v, n.model.info), 1
		}
		if a.Embedding = v; n.a.encoding == "base64" {
			a.Embedding = base64Floats(v)
		}
		if n.a.many {
			a.Index = &o.index
		}
		return a
	}
	return n.answer(w, n.each(ctx, taskFeatures), render)
}
