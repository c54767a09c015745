package server

import (
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"captioner/cli/server/openai"
	"captioner/cli/server/page"
	"captioner/models/decode"
)

// modelAnswer is what GET /v1/models says of the model.
type modelAnswer struct {
	ID        string         `json:"id"`
	SHA256    string         `json:"sha256"`
	Loaded    time.Time      `json:"loaded"`
	Device    string         `json:"device"`
	Licence   string         `json:"licence,omitempty"`
	Data      string         `json:"data,omitempty"`
	Embedding embeddingShape `json:"embedding"`
	Defaults  defaultOptions `json:"defaults"`
	Tasks     []string       `json:"tasks,omitempty"` // that a request may name, the usual one first
	Uncertain number         `json:"uncertain_below"` // a caption of less confidence is a guess
}

type embeddingShape struct {
	Places int `json:"places"`
	Width  int `json:"width"`
}

type defaultOptions struct {
	Beam          int    `json:"beam_size"`
	MaxLen        int    `json:"max_len"`
	LengthPenalty number `json:"length_penalty"`
	NoRepeatNGram int    `json:"no_repeat_ngram"`
}

// limitAnswer is what a client may ask for.
type limitAnswer struct {
	Beam   int   `json:"beam_size"`
	MaxLen int   `json:"max_len"`
	TopK   int   `json:"top_k"`
	Images int   `json:"images"`
	Bytes  int64 `json:"bytes"`
	Pixels int64 `json:"pixels"`
	MS     int64 `json:"timeout_ms"`
}

func limitsOf(o *Options, i Info) limitAnswer {
	most := max(o.MaxLen, i.Defaults.MaxLen)
	if i.Positions > 0 {
		most = min(most, i.Positions)
	}
	return limitAnswer{
		Beam:   max(o.MaxBeam, i.Defaults.Beam),
		MaxLen: most,
		TopK:   decode.MaxTopK,
		Images: o.MaxImages,
		Bytes:  o.MaxBody,
		Pixels: o.MaxPixels,
		MS:     o.Timeout.Milliseconds(),
	}
}

//go:embed openapi.json
var openAPI []byte

// about answers questions about the service itself.
type about struct{ s *Server }

// models answers GET /v1/models: captioner's own list, and OpenAI's beside it. The limits are those of the first model.
func (b about) models(w http.ResponseWriter, _ *http.Request) error {
	var own []modelAnswer
	var theirs []openai.ModelEntry
	var limits limitAnswer
	for k, m := range b.s.registry.all() {
		own, theirs = append(own, m.answer()), append(theirs, openai.Entry(m.info.Name, m.loaded))
		if k == 0 {
			limits = limitsOf(&b.s.o, m.info)
		}
		m.release()
	}
	return say(w, struct {
		Models []modelAnswer       `json:"models"`
		Limits limitAnswer         `json:"limits"`
		Object string              `json:"object"`
		Data   []openai.ModelEntry `json:"data"`
	}{own, limits, "list", theirs})
}

func (l *handle) answer() modelAnswer {
	i, d := l.info, l.info.Defaults
	return modelAnswer{
		ID:        i.Name,
		SHA256:    i.SHA256,
		Loaded:    l.loaded.UTC().Truncate(time.Second),
		Device:    i.Device,
		Licence:   i.Licence,
		Data:      i.Data,
		Embedding: embeddingShape{i.Vectors, i.Width},
		Defaults:  defaultOptions{d.Beam, d.MaxLen, number(d.LengthPenalty), d.NoRepeatNGram},
		Tasks:     d.Reading.Names(),
		Uncertain: number(i.UncertainBelow),
	}
}

// say sends a small object.
func say(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = writeJSON(w, v) // a client that is gone reads no answer
	return nil
}

// writeJSON writes v and a line end.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (b about) version(w http.ResponseWriter, _ *http.Request) error { return say(w, b.s.o.Version) }

type statusAnswer struct {
	Status string `json:"status"`
}

// alive says that the process answers.
func (b about) alive(w http.ResponseWriter, _ *http.Request) error {
	return say(w, statusAnswer{"alive"})
}

// ready says whether a caption can be had now.
func (b about) ready(w http.ResponseWriter, _ *http.Request) error {
	switch err := b.s.engine.room(1, b.s.o.Timeout); {
	case b.s.draining.Load() || err == errDraining:
		return errDraining
	case err != nil: // not 429: who asks sends no images, and takes another service for now
		p := b.s.asProblem(nil, err)
		p.Status = http.StatusServiceUnavailable
		return p
	}
	return say(w, statusAnswer{"ready"})
}

// scrape answers with the metrics.
func (b about) scrape(w http.ResponseWriter, r *http.Request) error {
	b.s.metrics.ServeHTTP(w, r)
	return nil
}

// openAPI sends the description of the API.
func (about) openAPI(w http.ResponseWriter, r *http.Request) error {
	page.Send(w, r, openAPI, "application/json")
	return nil
}
