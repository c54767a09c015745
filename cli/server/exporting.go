package server

import (
	"net/http"
	"slices"
	"strings"

	"captioner/cli/server/export"
	"captioner/cli/server/problem"
)

// exporting answers POST /v1/captions:export: captions come back as files.
type exporting struct{ s *Server }

func (e exporting) serve(w http.ResponseWriter, r *http.Request) error {
	format := r.URL.Query().Get("format")
	if !slices.Contains(export.Formats, format) {
		return problem.New("bad-option", "format: found %.60q, want %s", format, strings.Join(export.Formats, " or "))
	}
	raw, b, err := readAll(w, r, &e.s.o, e.s.budget)
	if err != nil {
		return err
	}
	defer b.release()
	var asked struct {
		Captions []export.Caption `json:"captions"`
	}
	if err := strict(raw, &asked); err != nil {
		return err
	}
	file, kind, err := export.Write(format, asked.Captions, strings.TrimSpace("captioner "+e.s.o.Release))
	if err != nil {
		return problem.New("bad-request", "%s", err)
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(file) // a client that is gone reads no answer
	return nil
}
