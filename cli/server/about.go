package server

import (
	"net/http"
	"time"

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

func (s *Server) limits(i Info) limitAnswer {
	most := max(s.o.MaxLen, i.Defaults.MaxLen)
	if i.Positions > 0 {
		most = min(most, i.Positions)
	}
	return limitAnswer{
		Beam:   max(s.o.MaxBeam, i.Defaults.Beam),
		MaxLen: most,
		TopK:   decode.MaxTopK,
		Images: s.o.MaxImages,
		Bytes:  s.o.MaxBody,
		Pixels: s.o.MaxPixels,
		MS:     s.o.Timeout.Milliseconds(),
	}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) error {
	m := s.registry.take()
	defer m.release()
	i := m.info
	d := i.Defaults
	a := modelAnswer{
		ID:        i.Name,
		SHA256:    i.SHA256,
		Loaded:    m.loaded.UTC().Truncate(time.Second),
		Device:    i.Device,
		Licence:   i.Licence,
		Data:      i.Data,
		Embedding: embeddingShape{i.Vectors, i.Width},
		Defaults:  defaultOptions{d.Beam, d.MaxLen, number(d.LengthPenalty), d.NoRepeatNGram},
	}
	return s.say(w, struct {
		Models []modelAnswer `json:"models"`
		Limits limitAnswer   `json:"limits"`
	}{[]modelAnswer{a}, s.limits(i)})
}

// say sends a small object.
func (s *Server) say(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = writeJSON(w, v) // a client that is gone reads no answer
	return nil
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error { return s.say(w, s.o.Version) }

type statusAnswer struct {
	Status string `json:"status"`
}

// alive says that the process answers.
func (s *Server) alive(w http.ResponseWriter, _ *http.Request) error {
	return s.say(w, statusAnswer{"alive"})
}

// ready says whether a caption can be had now.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	switch err := s.engine.room(1, s.o.Timeout); {
	case s.draining.Load() || err == errDraining:
		return errDraining
	case err != nil: // not 429: who asks sends no images, and takes another service for now
		p := s.asProblem(nil, err)
		p.Status = http.StatusServiceUnavailable
		return p
	}
	return s.say(w, statusAnswer{"ready"})
}
