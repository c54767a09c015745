package server

import (
	"mime"
	"net/http"
	"strings"
	"time"

	"captioner/cli/server/edit"
	"captioner/cli/server/problem"
	"captioner/data/image/thumbnail"
)

// editing answers what the page asks that edits a folder.
type editing struct {
	s       *Server
	folder  *edit.Folder
	workers chan struct{} // holds a token for each small image that is made: captions go first
}

// largeImage is how many pixels an image takes each way where the page shows it alone.
const largeImage = 1600

// routes are the paths below /edit/. None of them answers the page of another site, allowed or not.
func (e editing) routes() []route {
	local := func(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			if err := edit.Local(r); err != nil {
				return err
			}
			return serve(w, r)
		}
	}
	return []route{
		{method: "GET", path: "/edit/files", serve: local(e.files)},
		{method: "GET", path: "/edit/image", serve: local(e.image)},
		{method: "POST", path: "/edit/caption", serve: local(e.caption)},
		{method: "POST", path: "/edit/save", serve: local(e.save)},
	}
}

func (e editing) files(w http.ResponseWriter, r *http.Request) error {
	l, err := e.folder.List(r.Context())
	if err != nil {
		return err
	}
	return say(w, l)
}

// image sends a small copy of an image, or a larger one.
func (e editing) image(w http.ResponseWriter, r *http.Request) error {
	if err := enter(r.Context(), e.workers); err != nil {
		return err
	}
	defer func() { <-e.workers }()
	if err := r.Context().Err(); err != nil { // who scrolls on waits for no image
		return err
	}
	q := r.URL.Query()
	b, err := e.folder.Image(q.Get("name"))
	if err != nil {
		return err
	}
	size := thumbnail.Size
	if q.Has("large") {
		size = largeImage
	}
	small, err := thumbnail.Of(b, size, e.s.o.MaxPixels)
	if err != nil {
		return problem.Undecodable(err)
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Cache-Control", "private, max-age=3600") // the page asks with the stamp of the file
	_, _ = w.Write(small)                                    // a client that is gone reads no answer
	return nil
}

// caption captions an image of the folder, as /v1/captions does with one that is sent.
func (e editing) caption(w http.ResponseWriter, r *http.Request) error {
	s, start := e.s, time.Now()
	q := r.URL.Query()
	name := q.Get("name")
	q.Del("name")
	a := &asked{form: "pooled", encoding: "float", body: &body{budget: s.budget}}
	if err := (reader{limits: &s.o, options: true}).query(a, q.Encode()); err != nil {
		return err
	}
	if err := s.engine.room(1, s.o.Timeout); err != nil { // before the image is read
		return err
	}
	b, err := e.folder.Image(name)
	if err != nil {
		return err
	}
	if !a.body.charge(int64(len(b))) {
		return bodyProblem(errMemory, s.o.MaxBody)
	}
	a.uploads, a.read = []upload{{name, b}}, time.Since(start)
	n, ctx, done, err := s.begin(r, a, start)
	if err != nil {
		return err
	}
	defer done()
	return n.answer(w, n.each(ctx, taskCaption), func(o outcome) any { return n.caption(o) })
}

func (e editing) save(w http.ResponseWriter, r *http.Request) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if !strings.EqualFold(kind, "application/json") { // which no page sends elsewhere unasked
		return problem.New("unsupported-type", "found the content type %.60q, want application/json", kind)
	}
	raw, b, err := readAll(w, r, &e.s.o, e.s.budget)
	if err != nil {
		return err
	}
	defer b.release()
	var asked struct {
		Captions []edit.Save `json:"captions"`
	}
	if err := strict(raw, &asked); err != nil {
		return err
	}
	if n := len(asked.Captions); n > edit.MostSaves {
		return problem.New("bad-request", "found %d captions, want at most %d in a request", n, edit.MostSaves)
	}
	return say(w, struct {
		Results []edit.Saved `json:"results"`
	}{e.folder.Save(asked.Captions)})
}
