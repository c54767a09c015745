package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"captioner/cli/server/chat"
	"captioner/cli/server/ollama"
	"captioner/cli/server/openai"
	"captioner/cli/server/problem"
	"captioner/models/decode"
	"captioner/weights/plural"
)

// dialect is one request of an API of other programs, and how it is answered.
type dialect struct {
	s           *Server
	read        func(body []byte) (*chat.Request, error)
	write       func(io.Writer, *chat.Request, chat.Answer) error
	contentType func(stream bool) string
}

// dialects are the routes that speak Ollama's and OpenAI's APIs. Keys, rates, limits and the queue are those of
// /v1/captions.
func dialects(s *Server) []route {
	ollamaError := func(p *problem.Problem) any { return ollama.Error(p.Detail) }
	asOpenAI := func(p *problem.Problem) any { return openai.Error(p.Status, p.Name(), p.Detail, p.Param) }
	post := func(path string, errors func(*problem.Problem) any, d dialect) route {
		d.s = s
		return route{method: "POST", path: path, serve: d.serve, errors: errors}
	}
	o := ollamaModels{s}
	return []route{
		post("/api/generate", ollamaError, dialect{nil, ollama.Generate, ollama.WriteGenerate, ollama.ContentType}),
		post("/api/chat", ollamaError, dialect{nil, ollama.Chat, ollama.WriteChat, ollama.ContentType}),
		{method: "GET", path: "/api/tags", serve: o.tags, errors: ollamaError},
		{method: "POST", path: "/api/show", serve: o.show, errors: ollamaError},
		{method: "GET", path: "/api/version", serve: o.version, errors: ollamaError},
		post("/v1/chat/completions", asOpenAI,
			dialect{nil, openai.Completion, openai.WriteCompletion, openai.ContentType}),
		post("/v1/responses", asOpenAI, dialect{nil, openai.Response, openai.WriteResponse, openai.ContentType}),
	}
}

// serve answers a request: its images are captioned as those of /v1/captions are.
func (d dialect) serve(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	if err := d.s.engine.room(1, d.s.o.Timeout); err != nil { // before the body is read: a full queue refuses at once
		return err
	}
	raw, b, err := readAll(w, r, &d.s.o, d.s.budget)
	if err != nil {
		return err
	}
	a := &asked{many: true, body: b, read: time.Since(start)}
	q, err := d.read(raw)
	var m *handle
	if err == nil {
		m, err = d.s.registry.named(q.Model)
	}
	if err != nil {
		a.free()
		return chatProblem(err)
	}
	longest := m.info.Defaults.MaxLen
	a.settings.Model = &m.info.Name
	m.release()
	if q.Load {
		a.free()
		return d.send(w, q, chat.Answer{Created: time.Now(), Total: time.Since(start)})
	}
	if a.uploads, err = gather(r.Context(), &d.s.o, q.Images, b); err != nil {
		a.free()
		return chatProblem(err)
	}
	return d.caption(w, r, q, a, start, longest)
}

// caption takes the images through the queue and the model, whose longest caption has so many tokens.
func (d dialect) caption(
	w http.ResponseWriter, r *http.Request, q *chat.Request, a *asked, start time.Time, longest int,
) error {
	var ignored []string
	a.settings.Request, ignored = q.Decode(longest)
	n, ctx, done, err := d.s.begin(r, a, start)
	if err != nil {
		return err
	}
	defer done()
	list, err := n.collect(n.each(ctx, taskCaption))
	if err != nil {
		return err
	}
	answer := chat.Answer{Created: time.Now(), Ignored: ignored}
	for _, o := range list {
		if o.err != nil {
			return d.s.asProblem(r, o.err)
		}
		answer.Compute = max(answer.Compute, o.job.finished.Sub(o.job.started))
	}
	for i := range max(q.Choices, 1) {
		addChoice(&answer, list, i, n.options)
	}
	answer.Total = time.Since(start)
	return d.send(w, q, answer)
}

// addChoice adds a text: the caption of each image that is the i-th best, or the last that there is, a line each.
func addChoice(a *chat.Answer, list []outcome, i int, o decode.Options) {
	var lines []string
	tokens, cut := 0, false
	for _, one := range list {
		c := one.job.caption
		if k := min(i, len(c.Alternatives)); k > 0 {
			c = c.Alternatives[k-1]
		}
		lines = append(lines, c.Text)
		tokens += len(c.Tokens)
		cut = cut || len(c.Tokens)-o.Begun() >= o.MaxLen // the end token would have been the last
	}
	a.Texts = append(a.Texts, strings.Join(lines, "\n"))
	a.Tokens, a.Cut = append(a.Tokens, tokens), append(a.Cut, cut)
}

// send writes the answer. A client that is gone reads none.
func (d dialect) send(w http.ResponseWriter, q *chat.Request, a chat.Answer) error {
	w.Header().Set("Content-Type", d.contentType(q.Stream))
	_ = d.write(w, q, a)
	return nil
}

// readAll reads a body within the limits. What it holds of the budget is given back by the body's release.
func readAll(w http.ResponseWriter, r *http.Request, o *Options, all *budget) ([]byte, *body, error) {
	b, err := openBody(w, r, o.MaxBody, all, o.BodyTimeout)
	if err != nil {
		return nil, nil, err
	}
	raw, err := b.all(r.ContentLength)
	if err == nil && !b.charge(2*int64(len(raw))) { // the values, and what they are decoded to
		err = errMemory
	}
	if err != nil {
		b.release()
		return nil, nil, bodyProblem(err, o.MaxBody)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the deadline is for the body, not for the answer
	return raw, b, nil
}

// chatProblem names the part of a chat request that is wrong.
func chatProblem(err error) error {
	var e *chat.Error
	if !errors.As(err, &e) {
		return err
	}
	p := problem.New("bad-request", "%s", e.Text)
	p.Param = e.Param
	return p
}

// gather makes uploads of images, and fetches those that are elsewhere.
func gather(ctx context.Context, o *Options, images []chat.Image, b *body) ([]upload, error) {
	switch n := len(images); {
	case n == 0:
		return nil, problem.New("bad-request", "found no image, want 1 to %d", o.MaxImages)
	case n > o.MaxImages:
		return nil, problem.New("too-many-pictures", "found %s, want at most %d in a request", plural.Count(n, "image"),
			o.MaxImages)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, errDeadline)
	defer cancel()
	var out []upload
	for _, img := range images {
		if img.URL != "" {
			var err error
			if img.Bytes, err = fetch(ctx, o, img.URL, b); err != nil {
				return nil, err
			}
		}
		out = append(out, upload{bytes: img.Bytes})
	}
	return out, nil
}

// fetch gets one image. Its room in memory is taken before, for the largest that it may be.
func fetch(ctx context.Context, o *Options, url string, b *body) ([]byte, error) {
	if o.Fetch == nil {
		return nil, problem.New("bad-request", "found a URL, want the image itself as a data: URL")
	}
	if !b.charge(o.MaxBody) {
		return nil, bodyProblem(errMemory, o.MaxBody)
	}
	data, err := o.Fetch(ctx, url)
	var network net.Error
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &network): // it may name machines that are none of the client's business
		return nil, problem.New("unreachable-image", "fetch %.200q: the host cannot be reached", url)
	case err != nil:
		return nil, problem.New("unreachable-image", "fetch %.200q: %s", url, err)
	}
	b.uncharge(o.MaxBody - int64(len(data)))
	return data, nil
}

// ollamaModels answers what Ollama's clients ask about models.
type ollamaModels struct{ s *Server }

func asOllama(m *handle) ollama.Model {
	defer m.release()
	return ollama.Model{Name: m.info.Name, Digest: m.info.SHA256, Licence: m.info.Licence, Modified: m.loaded}
}

func (o ollamaModels) tags(w http.ResponseWriter, _ *http.Request) error {
	var all []ollama.Model
	for _, m := range o.s.registry.all() {
		all = append(all, asOllama(m))
	}
	return say(w, ollama.Tags(all...))
}

func (o ollamaModels) version(w http.ResponseWriter, _ *http.Request) error {
	return say(w, ollama.Version(o.s.o.Release))
}

func (o ollamaModels) show(w http.ResponseWriter, r *http.Request) error {
	raw, b, err := readAll(w, r, &o.s.o, o.s.budget)
	if err != nil {
		return err
	}
	defer b.release()
	name, err := ollama.ShowRequest(bytes.TrimSpace(raw))
	if err != nil {
		return chatProblem(err)
	}
	m, err := o.s.registry.named(name)
	if err != nil {
		return err
	}
	return say(w, ollama.Show(asOllama(m)))
}
