package server

import (
	"net/http"

	"captioner/cli/server/export"
	"captioner/cli/server/problem"
)

// exporting answers POST /v1/captions:export: captions come back as files.
type exporting struct{ s *Server }

func (e exporting) serve(w http.ResponseWriter, r *http.Request) error {
	s := e.s
	format := r.URL.Query().Get("format")
	if format != "parquet" && format != "xmp" {
		return problem.New("bad-option", "format: found %.60q, want parquet or xmp", format)
	}
	raw, b, err := readAll(w, r, &s.o, s.budget)
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
	if format == "xmp" {
		sidecars, err := export.XMP(asked.Captions, "captioner "+s.o.Release)
		if err != nil {
			return problem.New("bad-request", "%s", err)
		}
		return say(w, struct {
			Sidecars []export.Sidecar `json:"sidecars"`
		}{sidecars})
	}
	table, err := export.Parquet(asked.Captions)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/vnd.apache.parquet")
	_, _ = w.Write(table) // a client that is gone reads no answer
	return nil
}
