// Package problem is what a service answers where it cannot do what it is asked: an error as an answer (RFC 9457), of a
// kind that has a stable name and a page that explains it. It says nothing about the inside of the service.
package problem

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

// Problem is an error as an answer.
type Problem struct {
	Type   string `json:"type"` // "/problems/NAME": stable, and a page that explains it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`           // what was found and what was wanted
	Remedy string `json:"remedy,omitempty"` // what to do about it

	RetryAfter int      `json:"-"` // seconds; 0 for none
	Param      string   `json:"-"` // of a chat request: the part that is wrong
	Allow      []string `json:"-"` // of 405
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// Name is the last part of the type: the reason in metrics.
func (p *Problem) Name() string { return strings.TrimPrefix(p.Type, Path) }

// Path is that of the pages that explain problems, before their names.
const Path = "/problems/"

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
	"unknown-model":      {404, "There is no such model here", "GET /v1/models names those that there are"},
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

// New makes a problem of a kind.
func New(kind, format string, args ...any) *Problem {
	k, ok := kinds[kind]
	if !ok {
		kind, k = "internal", kinds["internal"]
	}
	return &Problem{
		Type:   Path + kind,
		Title:  k.title,
		Status: k.status,
		Detail: fmt.Sprintf(format, args...),
		Remedy: k.remedy,
	}
}

// Undecodable says why an image cannot be captioned.
func Undecodable(err error) *Problem {
	var e *image.Error
	if !errors.As(err, &e) {
		return New("undecodable-picture", "the image cannot be decoded")
	}
	switch {
	case errors.Is(err, image.ErrTooLarge):
		return New("too-many-pixels", "%s", e)
	case errors.Is(err, image.ErrTruncated):
		p := New("undecodable-picture", "%s", e)
		p.Remedy = "the file is cut off: copy it again and send the whole of it"
		return p
	}
	return New("undecodable-picture", "%s", e)
}

// Send writes p as the answer, in the shape of another program where that is given.
func (p *Problem) Send(w http.ResponseWriter, shape func(*Problem) any) {
	var body any = p
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if shape != nil {
		body = shape(p)
		h.Set("Content-Type", "application/json")
	}
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="captioner"`)
	}
	if len(p.Allow) > 0 {
		h.Set("Allow", strings.Join(p.Allow, ", "))
	}
	w.WriteHeader(p.Status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // a client that is gone reads no answer
}

// Explain is the page behind a problem's type.
func Explain(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	k, ok := kinds[name]
	if !ok {
		return New("not-found", "there is no problem of this name; there are %s", strings.Join(Kinds(), ", "))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := fmt.Fprintf(w, "%s (HTTP status %d)\n%s.\nRemedy: %s.\n", name, k.status, k.title, k.remedy)
	return err
}

// Kinds are the names of all problems there are.
func Kinds() []string {
	var names []string
	for n := range kinds {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
