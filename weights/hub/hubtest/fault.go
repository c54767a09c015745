package hubtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Place is one of the two servers.
type Place string

// The hub itself, and the server of large files.
const (
	AtHub Place = "hub"
	AtCDN Place = "cdn"
)

// Fault is what one request gets instead of a good answer.
type Fault struct {
	Match  string        // it waits for a request whose path holds this; "" is any
	Status int           // answer with this status
	Cut    int64         // break the connection off after so many bytes of the file
	Stall  time.Duration // send nothing for so long after Cut bytes, before the connection breaks off
	Slow   time.Duration // wait before a good answer
	Spoil  bool          // send other bytes than the file's
	Page   bool          // send a web page, as a login page of a network does
}

// Fault orders a fault for the next request to a place, behind those that are ordered.
func (h *Hub) Fault(p Place, f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults[p] = append(h.faults[p], f)
}

// ParseFault reads a fault as text: "cdn:cut=1000", "cdn:cut=10,stall=5s", "hub:status=503",
// "hub:match=/tree/,status=404", "cdn:spoil", "hub:page", "cdn:slow=1s".
func ParseFault(text string) (Place, Fault, error) {
	var f Fault
	place, list, _ := strings.Cut(text, ":")
	if p := Place(place); p != AtHub && p != AtCDN {
		return "", f, fmt.Errorf("fault %q: found the place %q, want hub or cdn", text, place)
	}
	for one := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(one, "=")
		var err error
		switch key {
		case "match":
			f.Match = value
		case "status":
			f.Status, err = strconv.Atoi(value)
		case "cut":
			f.Cut, err = strconv.ParseInt(value, 10, 64)
		case "stall":
			f.Stall, err = time.ParseDuration(value)
		case "slow":
			f.Slow, err = time.ParseDuration(value)
		case "spoil":
			f.Spoil = true
		case "page":
			f.Page = true
		default:
			err = fmt.Errorf("found %q, want match, status, cut, stall, slow, spoil or page", key)
		}
		if err != nil {
			return "", f, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return Place(place), f, nil
}

// wrap serves a request with the fault.
func (f Fault) wrap(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	if !wait(r, f.Slow) {
		return
	}
	switch {
	case f.Page:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><html><head><title>Sign in to the network</title></head></html>")
	case f.Status != 0:
		http.Error(w, http.StatusText(f.Status), f.Status)
	case f.Spoil:
		serve(&spoiler{w}, r)
	case f.Cut > 0 || f.Stall > 0:
		serve(&cutter{ResponseWriter: w, r: r, left: f.Cut, stall: f.Stall}, r)
	default:
		serve(w, r)
	}
}

// wait waits, unless the client goes.
func wait(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

// spoiler changes every byte.
type spoiler struct{ http.ResponseWriter }

func (s *spoiler) Write(b []byte) (int, error) {
	other := make([]byte, len(b))
	for i := range b {
		other[i] = ^b[i]
	}
	return s.ResponseWriter.Write(other)
}

// cutter breaks the connection off.
type cutter struct {
	http.ResponseWriter
	r     *http.Request
	left  int64
	stall time.Duration
}

func (c *cutter) Write(b []byte) (int, error) {
	if int64(len(b)) <= c.left {
		c.left -= int64(len(b))
		return c.ResponseWriter.Write(b)
	}
	c.ResponseWriter.Write(b[:c.left])
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	wait(c.r, c.stall)
	panic(http.ErrAbortHandler)
}
