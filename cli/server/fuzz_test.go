package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"captioner/cli/server/problem"
)

// Whatever a request holds, reading it gives images within the limits or a problem that a client can read, and leaves
// nothing in the budget.
func FuzzRequest(f *testing.F) {
	form, kind := form(f, "a.png", imagePNG(1, 0), "beam_size", "2", "b.png", []byte("x"))
	var b bytes.Buffer
	b.ReadFrom(form)
	f.Add("beam=2", strings.TrimPrefix(kind, "Content-Type: "), b.Bytes(), uint8(0))
	f.Add("", "image/png", imagePNG(1, 2), uint8(0))
	f.Add(
		"seed=1&sample=t",
		"application/json",
		[]byte(`{"images":["AAAA",{"name":"n","image":"data:image/png;base64,AA=="}],"beam_size":3}`),
		uint8(0),
	)
	f.Add("form=places", "application/json", []byte(`{"image":"AAAA","encoding":"base64"}`), uint8(1))
	f.Add(
		"timeout_ms=5",
		"application/json; charset=utf-8",
		[]byte(`{"embeddings":[[1,2,3],"AACAPw=="],"length_penalty":0.5}`),
		uint8(2),
	)
	f.Add(
		"length_penalty=NaN",
		"multipart/form-data; boundary=x",
		[]byte("--x\r\nContent-Disposition: form-data; name=a; filename=../b\r\n\r\nq\r\n--x--"),
		uint8(0),
	)
	o := DefaultOptions()
	o.MaxBody, o.MaxMemory, o.MaxImages = 1<<16, 1<<20, 4
	f.Fuzz(func(t *testing.T, query, kind string, sent []byte, route uint8) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(sent))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", kind)
		budget := &budget{most: o.MaxMemory}
		rd := []reader{{options: true}, {forms: true}, {options: true, embeddings: true}}[route%3]
		rd.limits, rd.budget = &o, budget
		a, err := rd.read(httptest.NewRecorder(), r)
		if err != nil {
			var p *problem.Problem
			if !errors.As(err, &p) || p.Status < 400 || p.Status > 499 {
				t.Fatalf("got %v, want a problem of 4xx", err)
			}
			if _, err := json.Marshal(p); err != nil || len(p.Detail) > 5000 {
				t.Fatalf("problem %+v: %v", p, err)
			}
		} else {
			if n := a.count(); n < 1 || n > o.MaxImages {
				t.Fatalf("%d images, want 1 to %d", n, o.MaxImages)
			}
			size := 0
			for _, p := range a.uploads {
				size += len(p.bytes)
			}
			if size > len(sent) {
				t.Fatalf("%d bytes of images from %d", size, len(sent))
			}
			l := &handle{Model: &fake{}, info: (&fake{}).Info()}
			if d, err := a.settings.apply(l, &o); err == nil && d.Validate() != nil {
				t.Fatalf("options %+v: %v", d, d.Validate())
			}
			a.free()
		}
		if budget.inUse() != 0 {
			t.Fatalf("%d bytes are held, want 0", budget.inUse())
		}
	})
}
