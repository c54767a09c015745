package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"captioner/data/image"
)

// problem is an error as an answer (RFC 9457). It says nothing about the inside of the service.
type problem struct {
	Type   string `json:"type"` // "/problems/NAME": stable, and a page that explains it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`           // what was found and what was wanted
	Remedy string `json:"remedy,omitempty"` // what to do about it

	retryAfter int      // seconds; 0 for none
	param      string   // of a chat request: the part that is wrong
	allow      []string // of 405
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// name is the last part of the type: the reason in metrics.
func (p *problem) name() string { return strings.TrimPrefix(p.Type, problemPath) }

const problemPath = "/problems/"

// kinds are all problems there are, by name.
var kinds = map[string]struct {
	status        int
	title, remedy string
}{
	"bad-request": {400, "The request makes no sense", "see /openapi.json for what a request may hold"},
	"bad-option": {
		400,
		"An option has a value that is not allowed",
		"GET /v1/models tells the defaults and the limits",
	},
	"truncated-body": {400, "The body ends too early", "send it again"},
	"unauthorized":   {401, "A valid token is needed", "send the header \"Authorization: Bearer TOKEN\""},
	"cross-origin": {
		403,
		"Requests from other sites are not allowed",
		"the operator can allow a site with --cors-origin",
	},
	"not-found":          {404, "There is nothing here", "see /openapi.json for what there is"},
	"unknown-model":      {404, "There is no such model here", "GET /v1/models names the one that there is"},
	"method-not-allowed": {405, "This method is not allowed here", "see /openapi.json for the methods"},
	"slow-body": {
		408,
		"The body did not arrive in time",
		"send it again over a faster connection, or a smaller image",
	},
	"too-large":         {413, "The body is too large", "send a smaller image, or fewer in one request"},
	"too-many-pictures": {413, "There are too many images in the request", "send them in several requests"},
	"too-many-pixels":   {413, "The image has too many pixels", "scale the image down first"},
	"unsupported-type": {
		415,
		"The content type is not supported",
		"send image/jpeg, image/png, image/webp, image/gif, image/bmp, image/tiff, image/heic, image/avif, " +
			"multipart/form-data or application/json",
	},
	"unreachable-image": {422, "The image cannot be fetched", "send the image itself as a data: URL"},
	"undecodable-picture": {
		422,
		"The image cannot be read",
		"send the whole file of a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF image",
	},
	"queue-full": {429, "Too many images are waiting", "try again after the seconds in Retry-After"},
	"rate-limit": {429, "You send too many requests", "try again after the seconds in Retry-After"},
	"internal":   {500, "Something went wrong in the service", "try again; if it stays, tell the operator"},
	"draining":   {503, "The service is stopping", "try again after the seconds in Retry-After, or elsewhere"},
	"deadline": {
		504,
		"There was not enough time for an answer",
		"try again, or allow more time with timeout_ms",
	},
	"client-gone": {499, "The client closed the connection", ""}, // in metrics only: the client is gone
}

// refuse makes a problem of a kind.
func refuse(kind, format string, args ...any) *problem {
	k, ok := kinds[kind]
	if !ok {
		kind, k = "internal", kinds["internal"]
	}
	return &problem{
		Type:   problemPath + kind,
		Title:  k.title,
		Status: k.status,
		Detail: fmt.Sprintf(format, args...),
		Remedy: k.remedy,
	}
}

// undecodable says why an image cannot be captioned.
func undecodable(err error) *problem {
	var e *image.Error
	if !errors.As(err, &e) {
		return refuse("undecodable-picture", "the image cannot be decoded")
	}
	switch {
	case errors.Is(err, image.ErrTooLarge):
		return refuse("too-many-pixels", "%s", e)
	case errors.Is(err, image.ErrTruncated):
		p := refuse("undecodable-picture", "%s", e)
		p.Remedy = "the file is cut off: copy it again and send the whole of it"
		return p
	}
	return refuse("undecodable-picture", "%s", e)
}

// send writes p as the answer, in the shape of another program where that is given.
func (p *problem) send(w http.ResponseWriter, shape func(*problem) any) {
	var body any = p
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if shape != nil {
		body = shape(p)
		h.Set("Content-Type", "application/json")
	}
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="captioner"`)
	}
	if len(p.allow) > 0 {
		h.Set("Allow", strings.Join(p.allow, ", "))
	}
	w.WriteHeader(p.Status)
	_ = writeJSON(w, body) // a client that is gone reads no answer
}

// explain is the page behind a problem's type.
func explain(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	k, ok := kinds[name]
	if !ok {
		return refuse("not-found", "there is no problem of this name; there are %s", strings.Join(kindNames(), ", "))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := fmt.Fprintf(w, "%s (HTTP status %d)\n%s.\nRemedy: %s.\n", name, k.status, k.title, k.remedy)
	return err
}

func kindNames() []string {
	var names []string
	for n := range kinds {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// writeJSON writes v and a line end.
func writeJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
