package chat

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"captioner/models/decode"
)

// Request is what a client of any of the APIs asks for.
type Request struct {
	Model   string
	Text    string // what the client says, all of it
	Images  []Image
	Choices int      // captions of each image; 0 is one
	MaxLen  int      // tokens of a caption; 0 leaves it to the model
	Ignored []string // settings of the request that are not followed
	Stream  bool
	Usage   bool // a stream ends with its count of tokens
	Load    bool // no caption is wanted, only that the model is there
}

// Image is an image as its bytes, or as the URL from which they are to be fetched.
type Image struct {
	Bytes []byte
	URL   string
}

// Answer is what a client is given.
type Answer struct {
	Model   string
	Created time.Time
	Texts   []string      // one a choice; several images have a line each
	Tokens  []int         // of the texts
	Cut     []bool        // a caption of the text ended at the longest that was asked for
	Ignored []string      // words and settings of the request that were not followed
	Total   time.Duration // from the request to here
	Compute time.Duration // of it, in the model
}

// Error is a request that cannot be answered.
type Error struct {
	Param string // the part of the request; "" is the whole
	Text  string
}

func (e *Error) Error() string { return e.Text }

// Errorf is an Error about a part of a request.
func Errorf(param, format string, args ...any) error {
	return &Error{Param: param, Text: fmt.Sprintf(format, args...)}
}

// Base64 reads base64, padded or not, of either alphabet, also as a data: URL.
func Base64(s string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(s, "data:"); ok {
		head, data, found := strings.Cut(rest, ",")
		if !found || !strings.HasSuffix(head, ";base64") {
			return nil, errors.New("found a data: URL without base64")
		}
		s = data
	}
	s = strings.TrimRight(s, "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(s)
	var at base64.CorruptInputError
	switch {
	case errors.As(err, &at):
		return nil, fmt.Errorf("the image is not base64: character %d is wrong", int64(at)+1)
	case err != nil:
		return nil, errors.New("the image is not base64")
	}
	return b, nil
}

// ImageURL reads the URL of an image: data: holds it, http and https lead to it.
func ImageURL(param, s string) (Image, error) {
	scheme, _, _ := strings.Cut(s, ":")
	switch strings.ToLower(scheme) {
	case "data":
		b, err := Base64(s)
		if err != nil {
			return Image{}, Errorf(param, "%v", err)
		}
		return Image{Bytes: b}, nil
	case "http", "https":
		if u, err := url.Parse(s); err != nil || u.Host == "" {
			return Image{}, Errorf(param, "found the URL %.60q, want one with a host", s)
		}
		return Image{URL: s}, nil
	}
	return Image{}, Errorf(param, "found the URL %.60q, want data:, http: or https:", s)
}

// Decode is what the request asks of the captions of a model whose longest caption has so many tokens, and what of it
// is not followed.
func (r *Request) Decode(longest int) (decode.Request, []string) {
	d, ignored := Read(r.Text)
	if r.Choices > 1 {
		d.Captions = new(r.Choices)
	}
	if r.MaxLen > 0 && r.MaxLen < longest {
		d.MaxLen = new(r.MaxLen)
		if d.MinLen != nil {
			d.MinLen = new(min(*d.MinLen, r.MaxLen-1))
		}
	}
	return d, slices.Concat(ignored, r.Ignored)
}

// Ignore notes a setting that has a value and is not followed.
func (r *Request) Ignore(name string, said bool) {
	if said {
		r.Ignored = append(r.Ignored, name)
	}
}
