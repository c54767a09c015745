package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/cors"

	"captioner/cli/server/access"
	"captioner/cli/server/listen"
	"captioner/cli/server/metrics"
	"captioner/cli/server/page"
	"captioner/cli/server/problem"
	"captioner/weights/plural"
)

// Server is the service over one model, or several that requests choose from. It is made by New and ends with Serve.
type Server struct {
	o        Options
	log      *slog.Logger
	registry *registry
	engine   *engine
	budget   *budget
	workers  chan struct{} // holds a token for each image that is being decoded
	decoded  chan struct{} // holds a token for each decoded image without an answer: pixels are larger than files
	metrics  *metrics.Metrics
	keys     access.Keyring
	rates    *access.Rates
	conns    *listen.Connections
	handler  http.Handler
	draining atomic.Bool
}

// decodedBatches is how many batches of pixels are in memory, with the one that is in the model.
const decodedBatches = 4

// New makes a service that answers with m, or with one of the others where a request names it. It closes them at its
// end.
func New(m Model, o Options, log *slog.Logger, others ...Model) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Server{o: o, log: log, budget: &budget{most: o.MaxMemory}, workers: make(chan struct{}, o.Workers),
		decoded: make(chan struct{}, decodedBatches*o.MaxBatch+o.Workers), rates: access.NewRates(o.Rate, o.Burst),
		conns: listen.NewConnections(o.MaxConnections)}
	s.registry = newRegistry(m, func(err error) { log.Error("a replaced model cannot be closed", "error", err) })
	for _, m := range others {
		if err := s.registry.add(m); err != nil {
			return nil, err
		}
	}
	s.metrics = metrics.New(problem.Kinds(), gauges(s))
	s.engine = newEngine(o.MaxBatch, o.MaxWait, o.Queue, log, s.metrics.Batch)
	s.handler = s.guard(s.routes())
	return s, nil
}

// gauges are the figures that the service has at any moment.
func gauges(s *Server) []metrics.Gauge {
	all := []metrics.Gauge{
		{Name: "captioner_queue_depth", Help: "Images that are accepted and not answered.",
			Read: func() float64 { return float64(s.engine.depth()) }},
		{Name: "captioner_queue_limit", Help: "Images that may be accepted and not answered.",
			Read: func() float64 { return float64(s.o.Queue) }},
		{Name: "captioner_connections", Help: "Open connections.",
			Read: func() float64 { return float64(s.conns.Count()) }},
		{Name: "captioner_body_bytes", Help: "Bytes of request bodies in memory.",
			Read: func() float64 { return float64(s.budget.inUse()) }},
	}
	if s.o.LiveTensors != nil {
		all = append(all, metrics.Gauge{Name: "captioner_live_tensors", Help: "Tensor handles that exist.",
			Read: func() float64 { return float64(s.o.LiveTensors()) }})
	}
	return all
}

// Handler answers requests. It is what Serve serves.
func (s *Server) Handler() http.Handler { return s.handler }

// Swap makes m the model of all later requests for its name, or for the first model. Requests under way are answered by
// the model that they began with.
func (s *Server) Swap(m Model) { s.registry.replace(m) }

// SetTokens makes these the only tokens; none opens the API to everybody.
func (s *Server) SetTokens(tokens []string) { s.keys.Set(tokens) }

// Close answers what was accepted, and closes the model. Nothing may be served during or after it.
func (s *Server) Close() {
	s.draining.Store(true)
	s.engine.stop()
	s.registry.close()
}

// route is one path of the service.
type route struct {
	method, path string
	open         bool // needs no token
	page         bool // part of the page: it may be kept in a browser's cache
	serve        func(http.ResponseWriter, *http.Request) error
	errors       func(*problem.Problem) any // how errors are written; nil is RFC 9457
}

func (s *Server) table() []route {
	about := about{s}
	routes := []route{
		{method: "POST", path: "/v1/captions", serve: s.talk(reader{options: true}, taskCaption)},
		{method: "POST", path: "/v1/captions:fromEmbedding",
			serve: s.talk(reader{options: true, embeddings: true}, taskCaptionFeatures)},
		{method: "POST", path: "/v1/captions:export", serve: exporting{s}.serve},
		{method: "POST", path: "/v1/embeddings", serve: s.embeddings},
		{method: "GET", path: "/v1/models", serve: about.models},
		{method: "GET", path: "/version", serve: about.version},
		{method: "GET", path: "/metrics", serve: about.scrape},
		{method: "GET", path: "/healthz", open: true, serve: about.alive},
		{method: "GET", path: "/readyz", open: true, serve: about.ready},
		{method: "GET", path: "/openapi.json", open: true, page: true, serve: about.openAPI},
		{method: "GET", path: problem.Path + "{name}", open: true, serve: problem.Explain},
	}
	routes = append(routes, dialects(s)...)
	if f := s.o.Edit; f != nil {
		routes = append(routes, editing{s, f, make(chan struct{}, max(s.o.Workers/2, 1))}.routes()...)
	}
	for _, f := range page.Files(s.o.Edit != nil) {
		routes = append(routes, route{method: "GET", path: f.Path, open: true, page: true, serve: f.Serve})
	}
	return routes
}

// routes is the mux. It has each path once for all methods, so that the answer to a wrong method names the right ones.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range s.table() {
		pattern := rt.path
		if pattern == "/" {
			pattern = "/{$}"
		}
		mux.Handle(pattern, s.answer(rt))
	}
	mux.Handle("/", s.answer(route{path: "other", open: true, serve: func(http.ResponseWriter, *http.Request) error {
		return problem.New("not-found", "there is nothing at this path")
	}}))
	return mux
}

// answer runs a route. It checks method, token and rate first. An error becomes a problem.
func (s *Server) answer(rt route) http.Handler {
	allowed := []string{rt.method, "OPTIONS"}
	if rt.method == "GET" {
		allowed = append(allowed, "HEAD")
	}
	return http.HandlerFunc(func(hw http.ResponseWriter, r *http.Request) {
		w := &writer{ResponseWriter: hw}
		start := time.Now()
		defer func() { s.note(rt.path, r.Method, w.status, time.Since(start)) }()
		defer s.recover(w, r, rt.errors)
		if !rt.page {
			w.Header().Set("Cache-Control", "no-store")
		}
		err := func() error {
			if rt.method != "" && !slices.Contains(allowed, r.Method) {
				p := problem.New("method-not-allowed", "found the method %.20q, want %s", r.Method, rt.method)
				p.Allow = allowed
				return p
			}
			if r.Method == "OPTIONS" {
				w.Header().Set("Allow", strings.Join(allowed, ", "))
				w.WriteHeader(http.StatusNoContent)
				return nil
			}
			if !rt.open {
				if err := s.admit(r); err != nil {
					return err
				}
			}
			return rt.serve(w, r)
		}()
		if err != nil {
			s.fail(w, r, err, rt.errors)
		}
	})
}

// admit checks the token and the rate of a client.
func (s *Server) admit(r *http.Request) error {
	who, err := s.keys.Check(r)
	if err != nil {
		return problem.New("unauthorized", "%s", err)
	}
	if wait := s.rates.Wait(who, time.Now()); wait > 0 {
		p := problem.New("rate-limit", "you may send %g requests a second", s.o.Rate)
		p.RetryAfter = int(wait/time.Second) + 1
		return p
	}
	return nil
}

// fail answers with a problem, unless an answer has begun.
func (s *Server) fail(w *writer, r *http.Request, err error, shape func(*problem.Problem) any) {
	p := s.asProblem(r, err)
	s.metrics.Failure(p.Name())
	if p.Status >= 500 && p.Name() == "internal" {
		s.log.Error("a request failed", "path", r.URL.Path, "error", err)
	}
	if w.status != 0 {
		return
	}
	if p.Name() == "client-gone" {
		w.status = p.Status
		return
	}
	p.Send(w, shape)
}

// asProblem turns an error into what a client may know of it.
func (s *Server) asProblem(r *http.Request, err error) *problem.Problem {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, errDeadline):
		return problem.New("deadline", "the answer was not ready in the time that the request had")
	case errors.Is(err, errFull):
		p := problem.New("queue-full", "%s are waiting, which is the limit", plural.Count(s.o.Queue, "image"))
		p.RetryAfter = s.engine.retryAfter()
		return p
	case errors.Is(err, errLate):
		p := problem.New("queue-full", "%s are waiting, which is what can be answered in time", plural.Count(s.engine.depth(),
			"image"))
		p.RetryAfter = s.engine.retryAfter()
		return p
	case errors.Is(err, errDraining):
		p := problem.New("draining", "no new requests are taken")
		p.RetryAfter = 5
		return p
	case r.Context().Err() != nil, errors.Is(err, context.Canceled):
		return problem.New("client-gone", "the client went away")
	}
	return problem.New("internal", "the request could not be answered")
}

// recover turns a bug in a handler into an answer.
func (s *Server) recover(w *writer, r *http.Request, shape func(*problem.Problem) any) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.log.Error("a handler panicked", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	s.fail(w, r, problem.New("internal", "the request could not be answered"), shape)
}

// guard sets the headers of every answer, and refuses strange paths and other sites.
func (s *Server) guard(next http.Handler) http.Handler {
	next = s.fromOtherSites(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header(), r.TLS != nil)
		if p := r.URL.Path; p != "/" && path.Clean(p) != p || strings.ContainsAny(p, "\\\x00") {
			s.refuseAtTheDoor(w, r, problem.New("not-found", "there is nothing at this path"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromOtherSites lets the pages of allowed sites use the API, and refuses what other sites make a browser send.
func (s *Server) fromOtherSites(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	for _, o := range s.o.CORSOrigins {
		_ = cross.AddTrustedOrigin(o) // checked by ValidOrigin before
	}
	checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := cross.Check(r); err != nil {
			s.refuseAtTheDoor(w, r, problem.New("cross-origin", "the request comes from the page of another site"))
			return
		}
		next.ServeHTTP(w, r)
	})
	if len(s.o.CORSOrigins) == 0 {
		return checked
	}
	return cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool { return slices.Contains(s.o.CORSOrigins, origin) },
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:  []string{"Authorization", "Content-Type", "Accept"},
		ExposedHeaders:  []string{"Retry-After"},
		MaxAge:          600,
	}).Handler(checked)
}

// refuseAtTheDoor answers a request that reaches no route.
func (s *Server) refuseAtTheDoor(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	rec := &writer{ResponseWriter: w}
	s.fail(rec, r, p, nil)
	s.note("other", r.Method, rec.status, 0)
}

// note counts an answered request, and logs it at debug level. It logs nothing that the client wrote.
func (s *Server) note(path, method string, status int, took time.Duration) {
	method = s.metrics.Request(path, method, status, took)
	s.log.Debug("request", "method", method, "path", path, "status", status, "ms", took.Milliseconds())
}

// contentPolicy allows the page its own files, images that it made itself, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func secure(h http.Header, tls bool) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "geolocation=(), microphone=(), camera=()")
	if tls {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// ValidOrigin says what is wrong with a site for CORSOrigins; nil if nothing is.
func ValidOrigin(o string) error {
	return http.NewCrossOriginProtection().AddTrustedOrigin(o)
}

// writer notes the status of an answer.
type writer struct {
	http.ResponseWriter
	status int
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find deadlines and Flush.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
