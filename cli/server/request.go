package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"captioner/cli/server/chat"
	"captioner/cli/server/problem"
	"captioner/data/image"
	"captioner/weights/plural"
)

// upload is an image of a request, as it came.
type upload struct {
	name  string // that the client gave it; it is only ever given back
	bytes []byte
}

// asked is a request that was read.
type asked struct {
	uploads    []upload
	embeddings [][]float32
	many       bool // the answer is a list, even where it has one entry
	settings   settings
	form       string // of embeddings: "pooled" or "places"
	encoding   string // of embeddings: "float" or "base64"
	body       *body
	read       time.Duration
}

func (a *asked) count() int { return len(a.uploads) + len(a.embeddings) }

// free gives the body's bytes back to the budget.
func (a *asked) free() {
	if a.body != nil {
		a.body.release()
	}
}

// imageTypes are the content types of images. What an image really is, its bytes tell.
var imageTypes = []string{
	"image/jpeg",
	"image/jpg",
	"image/pjpeg",
	"image/png",
	"image/webp",
	"image/gif",
	"image/bmp",
	"image/x-ms-bmp",
	"image/x-bmp",
	"image/tiff",
	"image/heic",
	"image/heif",
	"image/avif",
	"application/octet-stream",
}

// reader says which parts a kind of request may have.
type reader struct {
	limits     *Options
	budget     *budget
	options    bool // decoding options
	forms      bool // form and encoding of embeddings
	embeddings bool // embeddings instead of images
}

// read reads a request: its query, its body and what the body holds. The error is a *problem.Problem.
func (rd reader) read(w http.ResponseWriter, r *http.Request) (*asked, error) {
	start := time.Now()
	a := &asked{form: "pooled", encoding: "float"}
	if err := rd.query(a, r.URL.RawQuery); err != nil {
		return nil, err
	}
	kind, params, err := contentType(r)
	if err != nil {
		return nil, err
	}
	if a.body, err = openBody(w, r, rd.limits.MaxBody, rd.budget, rd.limits.BodyTimeout); err != nil {
		return nil, err
	}
	switch {
	case kind == "application/json":
		err = rd.json(a, r.ContentLength)
	case rd.embeddings:
		err = problem.New("unsupported-type", "found the content type %.60q, want application/json", kind)
	case kind == "multipart/form-data":
		err = rd.multipart(a, params["boundary"])
	case slices.Contains(imageTypes, kind):
		err = rd.raw(a, r.ContentLength)
	default:
		err = rd.sniffed(a, r)
	}
	if err == nil {
		err = rd.check(a)
	}
	if err != nil {
		a.free()
		return nil, bodyProblem(err, rd.limits.MaxBody)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the deadline is for the body, not for the answer
	a.read = time.Since(start)
	return a, nil
}

func contentType(r *http.Request) (string, map[string]string, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return "", nil, problem.New("unsupported-type", "found the content encoding %.60q, want none", e)
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return "", nil, nil // as good as none: the body tells what it is
	}
	return kind, params, nil
}

// query reads the options of a URL.
func (rd reader) query(a *asked, raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return problem.New("bad-request", "the query cannot be read")
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // so that the same request gets the same answer
	for _, name := range names {
		for _, v := range values[name] {
			if err := rd.option(a, name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// option reads one option of a query or a form.
func (rd reader) option(a *asked, name, value string) error {
	switch {
	case rd.forms && name == "form":
		a.form = value
	case rd.forms && name == "encoding":
		a.encoding = value
	case rd.options || settingName(name) == "timeout_ms":
		return a.settings.set(name, value)
	default:
		return problem.New("bad-option", "found the option %.60q, which this request does not take", name)
	}
	return nil
}

// raw takes the whole body for one image.
func (rd reader) raw(a *asked, size int64) error {
	b, err := a.body.all(size)
	if err != nil {
		return err
	}
	a.uploads = []upload{{bytes: b}}
	return nil
}

// sniffed takes the whole body for one image if it is one, whatever the client calls it.
func (rd reader) sniffed(a *asked, r *http.Request) error {
	if err := rd.raw(a, r.ContentLength); err != nil {
		return err
	}
	if b := a.uploads[0].bytes; len(b) > 0 && image.Format(b) == "" {
		kind := r.Header.Get("Content-Type")
		return problem.New("unsupported-type", "found the content type %.60q and a body that is no image", kind)
	}
	return nil
}

// spareParts is how many parts beside images a form may have: options.
const spareParts = 32

// multipart reads a form: a part with a file name, or with an image's type, is an image; all others are options.
func (rd reader) multipart(a *asked, boundary string) error {
	if boundary == "" {
		return problem.New("bad-request", "the content type multipart/form-data has no boundary")
	}
	m := multipart.NewReader(a.body, boundary)
	for parts := 0; ; parts++ {
		p, err := m.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return partProblem(err)
		}
		if parts >= rd.limits.MaxImages+spareParts {
			return rd.tooMany()
		}
		if err := rd.part(a, p); err != nil {
			return err
		}
	}
	a.many = len(a.uploads) != 1
	return nil
}

func (rd reader) tooMany() error {
	return problem.New("too-many-pictures", "found more than %s, want at most that in a request",
		plural.Count(rd.limits.MaxImages, "image"))
}

// partProblem keeps the reasons of the body and names those of the form.
func partProblem(err error) error {
	if errors.Is(err, errBody) || errors.Is(err, errMemory) ||
		bodyProblem(err, 0).(*problem.Problem).Name() != "bad-request" {
		return err
	}
	return problem.New("bad-request", "the form cannot be read: its parts are not as multipart/form-data has them")
}

func (rd reader) part(a *asked, p *multipart.Part) error {
	name, file := p.FormName(), p.FileName()
	kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
	if file == "" && !strings.HasPrefix(kind, "image/") {
		value, err := io.ReadAll(io.LimitReader(p, maxPrompt+1))
		if err != nil {
			return partProblem(err)
		}
		if len(value) > maxPrompt {
			return problem.New("bad-option", "%.60q has more than %d bytes", name, maxPrompt)
		}
		return rd.option(a, name, string(value))
	}
	if len(a.uploads) == rd.limits.MaxImages {
		return rd.tooMany()
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(p); err != nil {
		return partProblem(err)
	}
	a.uploads = append(a.uploads, upload{name: clean(file), bytes: buf.Bytes()})
	return nil
}

// clean makes a client's name harmless to give back.
func clean(name string) string {
	name = strings.ToValidUTF8(name, "\ufffd")
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
	for len(name) > 255 {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name
}

// document is a request in JSON.
type document struct {
	Image      *string           `json:"image"`
	Images     []json.RawMessage `json:"images"`
	Embedding  json.RawMessage   `json:"embedding"`
	Embeddings []json.RawMessage `json:"embeddings"`
	Form       *string           `json:"form"`
	Encoding   *string           `json:"encoding"`
	settings
}

// named is an image of a list, where it has a name.
type named struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

func (rd reader) json(a *asked, size int64) error {
	b, err := a.body.all(size)
	if err != nil {
		return err
	}
	if !a.body.charge(2 * int64(len(b))) { // the values, and what they are decoded to
		return errMemory
	}
	if !utf8.Valid(b) {
		return problem.New("bad-request", "the body is not UTF-8")
	}
	d := document{settings: a.settings}
	if err := strict(b, &d); err != nil {
		return err
	}
	a.settings = d.settings
	switch {
	case !rd.forms && (d.Form != nil || d.Encoding != nil):
		return problem.New("bad-option", "form and encoding are options of embeddings")
	case !rd.options && d.settings.forCaptions():
		return problem.New("bad-option", "found options of captions, which this request does not take")
	}
	a.form, a.encoding = or(d.Form, a.form), or(d.Encoding, a.encoding)
	if rd.embeddings {
		return rd.vectors(a, &d)
	}
	return rd.images(a, &d)
}

// strict decodes one JSON value that has no unknown fields, and nothing behind it.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			return problem.New("bad-request", "found something behind the JSON value")
		}
		return nil
	}
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		name := kind.Field[strings.LastIndex(kind.Field, ".")+1:]
		return problem.New("bad-option", "%.60q: found %s, want %s", name, kind.Value, plainType(kind.Type.String()))
	case errors.As(err, &kind):
		return problem.New("bad-request", "found a JSON %s, want %s", kind.Value, plainType(kind.Type.String()))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return problem.New("bad-request", "the JSON ends too early")
	case errors.As(err, &syntax):
		return problem.New("bad-request", "the body is not valid JSON: character %d is wrong", syntax.Offset)
	}
	if name, found := unknownField(b, v); found {
		return problem.New("bad-option", "found the unknown field %.60q", name)
	}
	return problem.New("bad-request", "the body is not valid JSON")
}

// unknownField finds a field of an object in JSON that the struct to which v points does not have: the decoder's error
// for it has no type.
func unknownField(b []byte, v any) (string, bool) {
	var object map[string]json.RawMessage
	to := reflect.TypeOf(v).Elem()
	if json.Unmarshal(b, &object) != nil || to.Kind() != reflect.Struct {
		return "", false
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.ContainsFunc(reflect.VisibleFields(to), func(f reflect.StructField) bool {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return strings.EqualFold(tag, name)
		}) {
			return name, true
		}
	}
	return "", false
}

// plainType is a Go type in words.
func plainType(t string) string {
	t = strings.TrimLeft(t, "*[]")
	switch {
	case strings.HasPrefix(t, "uint"):
		return "a whole number, 0 or more"
	case strings.HasPrefix(t, "int"):
		return "a whole number"
	case strings.HasPrefix(t, "float"):
		return "a number"
	case t == "string", t == "bool":
		return "a " + t
	case t == "json.RawMessage":
		return "a list"
	}
	return "an object"
}

func (rd reader) images(a *asked, d *document) error {
	if d.Embedding != nil || d.Embeddings != nil {
		return problem.New("bad-request", "found embeddings, want image or images")
	}
	if (d.Image == nil) == (d.Images == nil) {
		return problem.New("bad-request", "want either image (a string in base64) or images (a list)")
	}
	if len(d.Images) > rd.limits.MaxImages {
		return rd.tooMany()
	}
	if d.Image != nil {
		b, err := decode64(*d.Image)
		a.uploads = []upload{{bytes: b}}
		return err
	}
	a.many = true
	for i, raw := range d.Images {
		var p named
		err := strict(raw, &p.Image)
		if err != nil {
			err = strict(raw, &p)
		}
		if err != nil {
			return problem.New("bad-request", "images[%d]: want a string in base64, or an object of name and image", i)
		}
		b, err := decode64(p.Image)
		if err != nil {
			return problem.New("bad-request", "images[%d]: %s", i, err.(*problem.Problem).Detail)
		}
		a.uploads = append(a.uploads, upload{clean(p.Name), b})
	}
	return nil
}

// decode64 reads an image in base64.
func decode64(s string) ([]byte, error) {
	b, err := chat.Base64(s)
	if err != nil {
		return nil, problem.New("bad-request", "%s", err)
	}
	return b, nil
}

// check is what holds for every kind of request.
func (rd reader) check(a *asked) error {
	n := a.count()
	switch {
	case n == 0:
		return problem.New("bad-request", "found no image, want 1 to %d", rd.limits.MaxImages)
	case n > rd.limits.MaxImages:
		return rd.tooMany()
	case a.form != "pooled" && a.form != "places":
		return problem.New("bad-option", "form: found %.60q, want pooled or places", a.form)
	case a.encoding != "float" && a.encoding != "base64":
		return problem.New("bad-option", "encoding: found %.60q, want float or base64", a.encoding)
	}
	if !a.many && len(a.uploads) == 1 && len(a.uploads[0].bytes) == 0 {
		return problem.New("bad-request", "the image is empty: found 0 bytes")
	}
	return nil
}
