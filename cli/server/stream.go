package server

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// forms are the content types of an answer with captions, the default first.
var forms = []string{"application/json", "text/plain", "text/event-stream"}

// accepted is the content type that a client prefers.
func accepted(header string) string {
	best, quality := forms[0], 0.0
	for part := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		for _, f := range forms {
			if kind == f && q > quality {
				best, quality = f, q
			}
		}
	}
	return best
}

// heartbeat is how often a stream without news sends a comment, so that no proxy closes it.
const heartbeat = 10 * time.Second

// stream sends each outcome as a server-sent event as soon as it is ready: "caption" or "error", and "done" at the end.
func (n *session) stream(
	ctx context.Context,
	w http.ResponseWriter,
	results <-chan outcome,
	render func(outcome) any,
) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	n.a.many = true // every event says which image it is about
	good, bad := 0, 0
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case o, open := <-results:
			if !open {
				return n.event(w, "done", struct {
					Captions     int `json:"captions"`
					Failed       int `json:"failed"`
					Milliseconds ms  `json:"milliseconds"`
				}{good, bad, ms(time.Since(n.start))})
			}
			kind := "caption"
			if good++; o.err != nil {
				kind, good, bad = "error", good-1, bad+1
			}
			if err := n.event(w, kind, n.entry(o, render)); err != nil {
				return err
			}
		case <-beat.C:
			if _, err := fmt.Fprint(w, ": still at work\n\n"); err != nil {
				return nil // the client is gone
			}
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// event sends one event. Its JSON is one line.
func (n *session) event(w http.ResponseWriter, name string, v any) error {
	var b bytes.Buffer
	if err := writeJSON(&b, v); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n", name, b.Bytes()); err != nil {
		return nil // the client is gone
	}
	_ = http.NewResponseController(w).Flush()
	return nil
}
