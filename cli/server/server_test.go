package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"captioner/data/image"
	"captioner/models/decode"
)

// decoded reads an answer.
func decoded[T any](t *testing.T, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return v
}

// answered is an answer of any kind.
type answered struct {
	Index        *int          `json:"index"`
	Name         string        `json:"name"`
	Caption      string        `json:"caption"`
	Confidence   float64       `json:"confidence"`
	Alternatives []alternative `json:"alternatives"`
	Model        string        `json:"model"`
	Error        *problem      `json:"error"`
	Embedding    any           `json:"embedding"`
	Places       int           `json:"places"`
	Results      []answered    `json:"results"`
}

func form(t testing.TB, parts ...any) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		name := parts[i].(string)
		switch v := parts[i+1].(type) {
		case []byte:
			p, err := m.CreateFormFile("image", name)
			if err != nil {
				t.Fatal(err)
			}
			p.Write(v)
		case string:
			m.WriteField(name, v)
		}
	}
	m.Close()
	return &b, "Content-Type: " + m.FormDataContentType()
}

func TestOnePicture(t *testing.T) {
	s := start(t, &fake{}, nil)
	got := decoded[answered](t, askPNG(s, "?num-captions=2&beam=4", 7), 200)
	if got.Caption != "fake sees 7 0" || got.Confidence != .5 || got.Model != "fake" || len(got.Alternatives) != 1 || got.Index != nil {
		t.Errorf("got %+v", got)
	}
	if w := ask(s, "POST", "/v1/captions", bytes.NewReader(picturePNG(7, 1)), "Content-Type: image/png", "Accept: text/plain"); w.Body.String() != "fake sees 7 1\n" {
		t.Errorf("as text: got %q", w.Body)
	}
}

func TestManyPictures(t *testing.T) {
	s := start(t, &fake{}, nil)
	send := func(accept string) *httptest.ResponseRecorder {
		b, kind := form(t, "a.png", picturePNG(1, 0), "num_captions", "2", "b.png", []byte("no picture"), "c.png", picturePNG(3, 0))
		return ask(s, "POST", "/v1/captions", b, kind, "Accept: "+accept)
	}
	got := decoded[answered](t, send("*/*"), 200).Results
	if len(got) != 3 || got[0].Caption != "fake sees 1 0" || got[0].Name != "a.png" || *got[2].Index != 2 || got[2].Caption != "fake sees 3 0" ||
		got[1].Error == nil || got[1].Error.Type != "/problems/undecodable-picture" || len(got[0].Alternatives) != 1 {
		t.Errorf("got %+v", got)
	}
	if w := send("text/plain"); w.Body.String() != "fake sees 1 0\n\nfake sees 3 0\n" {
		t.Errorf("as text: got %q", w.Body)
	}
	events := map[string]int{}
	for line := range strings.Lines(send("text/event-stream").Body.String()) {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			events[strings.TrimSpace(name)]++
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok && !json.Valid([]byte(data)) {
			t.Errorf("event of invalid JSON %q", data)
		}
	}
	if events["caption"] != 2 || events["error"] != 1 || events["done"] != 1 {
		t.Errorf("events: got %v, want 2 captions, 1 error, 1 done", events)
	}
	b, kind := form(t, "a.png", []byte("x"), "b.png", []byte("y"))
	if p := decoded[problem](t, ask(s, "POST", "/v1/captions", b, kind), 422); !strings.Contains(p.Detail, "none of 2 pictures") {
		t.Errorf("none readable: got %+v", p)
	}
	b, kind = form(t, "a.png", picturePNG(4, 0))
	if got := decoded[answered](t, ask(s, "POST", "/v1/captions", b, kind), 200); got.Caption != "fake sees 4 0" || got.Name != "a.png" {
		t.Errorf("a form of one: got %+v, want the answer itself", got)
	}
}

func TestPicturesInJSON(t *testing.T) {
	s := start(t, &fake{}, nil)
	b64 := base64.StdEncoding.EncodeToString(picturePNG(5, 0))
	send := func(v string) *httptest.ResponseRecorder {
		return ask(s, "POST", "/v1/captions", strings.NewReader(v), "Content-Type: application/json")
	}
	for name, text := range map[string]string{"plain": b64, "unpadded": strings.TrimRight(b64, "="), "data URL": "data:image/png;base64," + b64,
		"URL alphabet": base64.URLEncoding.EncodeToString(picturePNG(5, 0))} {
		if got := decoded[answered](t, send(fmt.Sprintf(`{"image":%q,"beam_size":2,"num_captions":2}`, text)), 200); got.Caption != "fake sees 5 0" || len(got.Alternatives) != 1 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	got := decoded[answered](t, send(fmt.Sprintf(`{"images":[%q,{"name":"n","image":%q}]}`, b64, b64)), 200).Results
	if len(got) != 2 || got[1].Name != "n" || got[1].Caption != "fake sees 5 0" {
		t.Errorf("a list: got %+v", got)
	}
	if got := decoded[answered](t, send(fmt.Sprintf(`{"images":[%q]}`, b64)), 200).Results; len(got) != 1 {
		t.Errorf("a list of one: got %+v, want a list", got)
	}
}

func TestEmbeddings(t *testing.T) {
	s := start(t, &fake{}, nil)
	get := func(query string) answered {
		return decoded[answered](t, ask(s, "POST", "/v1/embeddings"+query, bytes.NewReader(picturePNG(5, 6)), "Content-Type: image/png"), 200)
	}
	if got := get(""); fmt.Sprint(got.Embedding) != "[5 6 1.5]" || got.Places != 1 {
		t.Errorf("pooled: got %+v", got)
	}
	places := get("?form=places&encoding=base64")
	if places.Places != 4 {
		t.Errorf("places: got %+v", places)
	}
	for name, embedding := range map[string]any{"places": places.Embedding, "pooled": get("").Embedding, "pooled base64": get("?encoding=base64").Embedding} {
		b, _ := json.Marshal(map[string]any{"embedding": embedding, "num_captions": 2})
		got := decoded[answered](t, ask(s, "POST", "/v1/captions:fromEmbedding", bytes.NewReader(b), "Content-Type: application/json"), 200)
		if got.Caption != "fake sees 5 6" || len(got.Alternatives) != 1 {
			t.Errorf("captions from %s: got %+v", name, got)
		}
	}
	for name, b := range map[string]string{"length": `{"embedding":[1,2]}`, "infinite": `{"embedding":[1e39,0,0]}`, "text": `{"embedding":["a","b","c"]}`,
		"NaN": `{"embedding":"AADAfwAAAAAAAAAA"}`, "both": `{"embedding":[1,2,3],"embeddings":[]}`, "picture": `{"image":"AAAA"}`} {
		decoded[problem](t, ask(s, "POST", "/v1/captions:fromEmbedding", strings.NewReader(b), "Content-Type: application/json"), 400)
		if s.engine.depth() != 0 {
			t.Fatalf("%s: %d places are held, want 0", name, s.engine.depth())
		}
	}
}

// What a request asks for is what the model is told.
func TestOptionsReachTheModel(t *testing.T) {
	f := &fake{}
	s := start(t, f, nil)
	for query, want := range map[string]func(*decode.Options){
		"":                              func(o *decode.Options) {},
		"?beam_size=5&max_len=9":        func(o *decode.Options) { o.Beam, o.MaxLen = 5, 9 },
		"?length-penalty=0":             func(o *decode.Options) { o.LengthPenalty = 0 },
		"?num_captions=5":               func(o *decode.Options) { o.Captions, o.Beam = 5, 5 },
		"?diverse=2&num_captions=3":     func(o *decode.Options) { o.Groups, o.Captions, o.Beam = 2, 3, 4 },
		"?prompt=two+words":             func(o *decode.Options) { o.Prompt = []int32{7, 7} },
		"?force=red|blue&force=dog":     func(o *decode.Options) { o.Force, o.Beam = [][][]int32{{{7}}, {{7}}}, 9 },
		"?ban=cat":                      func(o *decode.Options) { o.Ban = [][]int32{{7}} },
		"?force=|":                      nil,
		"?min_length=3&no_repeat_ngram": nil,
		"?min_length=35":                func(o *decode.Options) { o.MinLen, o.MaxLen = 35, 36 },
		"?force=a&sample=true":          nil,
		"?force=a&force=b&force=c&force=d&force=e&force=f&force=g&force=h": nil,
		"?sample=true&seed=3&top_k=5":                                      func(o *decode.Options) { o.Sample, o.Seed, o.TopK, o.TopP, o.Temperature = true, 3, 5, 1, 1 },
	} {
		w := askPNG(s, query, 1)
		if want == nil {
			decoded[problem](t, w, 400)
			continue
		}
		decoded[answered](t, w, 200)
		o := decode.DefaultOptions()
		want(&o)
		got := f.options[len(f.options)-1]
		got.IDs = nil
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", o) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", query, got, o)
		}
	}
}

// Draws depend on picture and seed alone.
func TestDrawsDoNotDependOnTheBatch(t *testing.T) {
	s := start(t, &fake{}, nil)
	alone := decoded[answered](t, askPNG(s, "?sample=true&seed=9", 3), 200).Caption
	b, kind := form(t, "a", picturePNG(1, 0), "b", picturePNG(2, 0), "c", picturePNG(3, 0))
	if got := decoded[answered](t, ask(s, "POST", "/v1/captions?sample=true&seed=9", b, kind), 200).Results[2].Caption; got != alone {
		t.Errorf("got %q among others, %q alone", got, alone)
	}
}

// Each way to ask wrongly has its answer: status, type and what it says.
func TestRefusals(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.MaxBody, o.MaxImages, o.MaxPixels = 20_000, 3, 10_000 })
	pic := string(picturePNG(1, 0))
	bomb := string(hugePNG())
	js := "Content-Type: application/json"
	big := strings.Repeat("x", 20_001)
	many, manyKind := form(t, "a", picturePNG(1, 0), "b", picturePNG(1, 0), "c", picturePNG(1, 0), "d", picturePNG(1, 0))
	manyBytes, _ := io.ReadAll(many)
	for name, c := range map[string]struct {
		method, path, body, header string
		status                     int
		kind, says                 string
	}{
		"no such path":      {"GET", "/v2", "", "", 404, "not-found", ""},
		"path trick":        {"GET", "/../page.css", "", "", 404, "not-found", ""},
		"encoded trick":     {"GET", "/%2e%2e/%2e%2e/etc/passwd", "", "", 404, "not-found", ""},
		"double slash":      {"GET", "//etc/passwd", "", "", 404, "not-found", ""},
		"backslash":         {"GET", "/page%5c..%5cpage.css", "", "", 404, "not-found", ""},
		"NUL":               {"GET", "/page.css%00", "", "", 404, "not-found", ""},
		"page folder":       {"GET", "/page/", "", "", 404, "not-found", ""},
		"wrong method":      {"GET", "/v1/captions", "", "", 405, "method-not-allowed", "POST"},
		"odd method":        {"BREW", "/healthz", "", "", 405, "method-not-allowed", "GET"},
		"no type":           {"POST", "/v1/captions", pic, "Content-Type: ", 415, "unsupported-type", "no content type"},
		"curl's own type":   {"POST", "/v1/captions", pic, "Content-Type: application/x-www-form-urlencoded", 415, "unsupported-type", "urlencoded"},
		"JPEG XL":           {"POST", "/v1/captions", pic, "Content-Type: image/jxl", 415, "unsupported-type", "image/jxl"},
		"broken type":       {"POST", "/v1/captions", pic, "Content-Type: ;;", 415, "unsupported-type", ""},
		"gzip":              {"POST", "/v1/captions", pic, "Content-Encoding: gzip", 415, "unsupported-type", "gzip"},
		"empty":             {"POST", "/v1/captions", "", "Content-Type: image/png", 400, "bad-request", "empty"},
		"cut":               {"POST", "/v1/captions", pic[:len(pic)-30], "Content-Type: image/png", 422, "undecodable-picture", ""},
		"no picture":        {"POST", "/v1/captions", "hello", "Content-Type: image/png", 422, "undecodable-picture", "hello"},
		"bomb":              {"POST", "/v1/captions", bomb, "Content-Type: image/png", 413, "too-many-pixels", "limit 10000"},
		"large":             {"POST", "/v1/captions", big, "Content-Type: image/png", 413, "too-large", "20001"},
		"too many":          {"POST", "/v1/captions", string(manyBytes), manyKind, 413, "too-many-pictures", "3"},
		"10,000 parts":      {"POST", "/v1/captions", strings.Repeat("--x\r\n\r\n\r\n", 1900), "Content-Type: multipart/form-data; boundary=x", 400, "bad-option", ""},
		"no boundary":       {"POST", "/v1/captions", pic, "Content-Type: multipart/form-data", 400, "bad-request", "boundary"},
		"cut form":          {"POST", "/v1/captions", string(manyBytes[:200]), manyKind, 400, "truncated-body", ""},
		"no form":           {"POST", "/v1/captions", "hello", "Content-Type: multipart/form-data; boundary=x", 400, "bad-request", "no picture"},
		"empty form":        {"POST", "/v1/captions", "--x--\r\n", "Content-Type: multipart/form-data; boundary=x", 400, "bad-request", "no picture"},
		"bad JSON":          {"POST", "/v1/captions", "{", js, 400, "bad-request", "too early"},
		"JSON twice":        {"POST", "/v1/captions", `{"image":"AAAA"} {}`, js, 400, "bad-request", "behind"},
		"JSON list":         {"POST", "/v1/captions", `[]`, js, 400, "bad-request", "array"},
		"JSON NaN":          {"POST", "/v1/captions", `{"image":"AAAA","length_penalty":NaN}`, js, 400, "bad-request", ""},
		"JSON too large":    {"POST", "/v1/captions", `{"image":"AAAA","length_penalty":1e999}`, js, 400, "bad-option", "length_penalty"},
		"JSON wrong kind":   {"POST", "/v1/captions", `{"image":"AAAA","beam_size":"3"}`, js, 400, "bad-option", "whole number"},
		"JSON unknown":      {"POST", "/v1/captions", `{"image":"AAAA","beams":3}`, js, 400, "bad-option", "beams"},
		"JSON depth":        {"POST", "/v1/captions", `{"images":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, js, 400, "bad-request", ""},
		"JSON bytes":        {"POST", "/v1/captions", "{\"image\":\"\xff\"}", js, 400, "bad-request", "UTF-8"},
		"no base64":         {"POST", "/v1/captions", `{"image":"?"}`, js, 400, "bad-request", "base64"},
		"nested base64":     {"POST", "/v1/captions", `{"image":"` + twice(pic) + `"}`, js, 422, "undecodable-picture", ""},
		"image and images":  {"POST", "/v1/captions", `{"image":"AAAA","images":[]}`, js, 400, "bad-request", "either"},
		"no image":          {"POST", "/v1/captions", `{}`, js, 400, "bad-request", "either"},
		"no images":         {"POST", "/v1/captions", `{"images":[]}`, js, 400, "bad-request", "no picture"},
		"unknown option":    {"POST", "/v1/captions?beams=3", pic, "Content-Type: image/png", 400, "bad-option", "beams"},
		"option twice":      {"POST", "/v1/captions?beam=3&beam_size=3", pic, "Content-Type: image/png", 400, "bad-option", "twice"},
		"NaN":               {"POST", "/v1/captions?length_penalty=NaN", pic, "Content-Type: image/png", 400, "bad-option", "number"},
		"infinite":          {"POST", "/v1/captions?sample=1&temperature=Inf", pic, "Content-Type: image/png", 400, "bad-option", "number"},
		"invalid UTF-8":     {"POST", "/v1/captions?prompt=%ff", pic, "Content-Type: image/png", 400, "bad-option", "UTF-8"},
		"invalid name":      {"POST", "/v1/captions?%ff=1", pic, "Content-Type: image/png", 400, "bad-option", ""},
		"invalid query":     {"POST", "/v1/captions?a=%zz", pic, "Content-Type: image/png", 400, "bad-request", "query"},
		"long prompt":       {"POST", "/v1/captions?prompt=" + strings.Repeat("a", 1001), pic, "Content-Type: image/png", 400, "bad-option", "1000"},
		"many words":        {"POST", "/v1/captions?prompt=" + strings.Repeat("a+", 45), pic, "Content-Type: image/png", 400, "bad-option", "at most 40"},
		"beam 0":            {"POST", "/v1/captions?beam_size=0", pic, "Content-Type: image/png", 400, "bad-option", "beam_size 0"},
		"wide beam":         {"POST", "/v1/captions?beam_size=17", pic, "Content-Type: image/png", 400, "bad-option", "at most 16"},
		"many captions":     {"POST", "/v1/captions?num_captions=17", pic, "Content-Type: image/png", 400, "bad-option", "at most 16"},
		"negative":          {"POST", "/v1/captions?max_len=-1", pic, "Content-Type: image/png", 400, "bad-option", "max_len -1"},
		"long caption":      {"POST", "/v1/captions?max_len=65", pic, "Content-Type: image/png", 400, "bad-option", "at most 64"},
		"sample and beam":   {"POST", "/v1/captions?sample=1&beam_size=2", pic, "Content-Type: image/png", 400, "bad-option", "contradict"},
		"seed alone":        {"POST", "/v1/captions?seed=1", pic, "Content-Type: image/png", 400, "bad-option", "needs sample"},
		"no time":           {"POST", "/v1/captions?timeout_ms=0", pic, "Content-Type: image/png", 400, "bad-option", "timeout_ms"},
		"odd form":          {"POST", "/v1/embeddings?form=x", pic, "Content-Type: image/png", 400, "bad-option", "pooled"},
		"beam of features":  {"POST", "/v1/embeddings?beam_size=3", pic, "Content-Type: image/png", 400, "bad-option", "beam_size"},
		"picture, embedded": {"POST", "/v1/captions:fromEmbedding", pic, "Content-Type: image/png", 415, "unsupported-type", "json"},
		"other site":        {"POST", "/v1/captions", pic, "Origin: https://evil.example", 403, "cross-origin", ""},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{c.header}
			if c.header == "" {
				headers = nil
			}
			if !strings.HasPrefix(c.header, "Content-Type") {
				headers = append(headers, "Content-Type: image/png")
			}
			path := c.path
			r := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
			u, err := url.Parse("http://example.com" + path) // which keeps the dots
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
			for _, h := range headers {
				k, v, _ := strings.Cut(h, ": ")
				if v != "" {
					r.Header.Set(k, v)
				}
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			p := decoded[problem](t, w, c.status)
			if p.Type != "/problems/"+c.kind || !strings.Contains(p.Detail, c.says) || p.Remedy == "" || p.Status != c.status {
				t.Errorf("got %+v, want type %q with %q and a remedy", p, c.kind, c.says)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if s.engine.depth() != 0 || s.budget.inUse() != 0 {
				t.Errorf("%d places and %d bytes are held, want none", s.engine.depth(), s.budget.inUse())
			}
			if e := ask(s, "GET", p.Type, nil); e.Code != 200 {
				t.Errorf("%s explains nothing: %d", p.Type, e.Code)
			}
		})
	}
}

func twice(s string) string {
	return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
}

// hugePNG has a header of 1x20000 pixels, and nothing that it would cost.
func hugePNG() []byte {
	b := slices.Clone(picturePNG(1, 0))
	copy(b[16:24], []byte{0, 0, 0, 1, 0, 0, 0x4e, 0x20})
	// the checksum of the chunk that says so
	sum := crcOf(b[12:29])
	copy(b[29:33], sum)
	return b
}

func TestNothingInternalLeaks(t *testing.T) {
	s := start(t, &fake{fail: func([]*image.RGB) error { return errors.New("secret path /srv/secret") }}, nil)
	w := askPNG(s, "", 1)
	if p := decoded[problem](t, w, 500); p.Type != "/problems/internal" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %s", w.Body)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	s := start(t, f, func(o *Options) { o.Queue, o.MaxImages = 2, 2 })
	answers := make(chan int, 2)
	for red := range byte(2) {
		go func() { answers <- askPNG(s, "", red).Code }()
	}
	until(t, func() bool { return s.engine.depth() == 2 })
	read := false
	w := ask(s, "POST", "/v1/captions", readerFunc(func([]byte) (int, error) { read = true; return 0, io.EOF }), "Content-Type: image/png")
	if p := decoded[problem](t, w, 429); p.Type != "/problems/queue-full" || w.Header().Get("Retry-After") == "" || read {
		t.Errorf("got %+v, Retry-After %q, body read %t; want queue-full, some seconds, unread", p, w.Header().Get("Retry-After"), read)
	}
	if w := ask(s, "GET", "/readyz", nil); w.Code != 503 {
		t.Errorf("/readyz: got %d, want 503", w.Code)
	}
	if w := ask(s, "GET", "/healthz", nil); w.Code != 200 {
		t.Errorf("/healthz: got %d, want 200", w.Code)
	}
	close(f.hold)
	for range 2 {
		if code := <-answers; code != 200 {
			t.Errorf("an accepted request got %d, want 200", code)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// until waits for something that other goroutines do.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not happen in 10 s")
}

func TestDeadlines(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	s := start(t, f, nil)
	if p := decoded[problem](t, askPNG(s, "?timeout_ms=20", 1), 504); p.Type != "/problems/deadline" {
		t.Errorf("got %+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/captions", bytes.NewReader(picturePNG(2, 0)))
	r.Header.Set("Content-Type", "image/png")
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() { s.Handler().ServeHTTP(w, r); close(done) }()
	until(t, func() bool { return s.engine.depth() == 1 && len(f.sizes()) == 2 })
	cancel()
	<-done
	if w.Body.Len() != 0 || s.engine.depth() != 0 {
		t.Errorf("a client that went away: got %q and %d places held, want nothing", w.Body, s.engine.depth())
	}
	close(f.hold)
}

func TestTokens(t *testing.T) {
	s := start(t, &fake{}, nil)
	s.SetTokens([]string{"0123456789abcdef", "another-token-of-mine"})
	for header, want := range map[string]int{"": 401, "Authorization: Bearer 0123456789abcdef": 200, "Authorization: bearer another-token-of-mine": 200,
		"Authorization: Bearer 0123456789abcdeX": 401, "Authorization: Basic 0123456789abcdef": 401, "Authorization: Bearer ": 401} {
		w := ask(s, "GET", "/v1/models", nil, header)
		if w.Code != want || (want == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%q: got %d, want %d", header, w.Code, want)
		}
	}
	for path, want := range map[string]int{"/": 200, "/healthz": 200, "/readyz": 200, "/openapi.json": 200, "/metrics": 401, "/version": 401} {
		if w := ask(s, "GET", path, nil); w.Code != want {
			t.Errorf("%s without a token: got %d, want %d", path, w.Code, want)
		}
	}
	s.SetTokens(nil)
	if w := ask(s, "GET", "/v1/models", nil); w.Code != 200 {
		t.Errorf("without tokens: got %d, want 200", w.Code)
	}
	if _, err := ParseTokens([]byte("# none\n\n")); err == nil {
		t.Error("a file without tokens: no error")
	}
	if _, err := ParseTokens([]byte("short\n")); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a short token: got %v, want an error that does not tell it", err)
	}
	if got, err := ParseTokens([]byte("# mine\n 0123456789abcdef \r\n")); err != nil || !slices.Equal(got, []string{"0123456789abcdef"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRates(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.Rate, o.Burst = .001, 2 })
	for i, want := range []int{200, 200, 429} {
		w := ask(s, "GET", "/v1/models", nil)
		if w.Code != want || (want == 429) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("request %d: got %d, want %d", i, w.Code, want)
		}
	}
	r := newRates(2, 1)
	now := time.Now()
	for i, c := range []struct {
		at   time.Duration
		wait bool
	}{{0, false}, {0, true}, {400 * time.Millisecond, true}, {600 * time.Millisecond, false}} {
		if got := r.wait("a", now.Add(c.at)); (got > 0) != c.wait {
			t.Errorf("request %d at %v: wait %v", i, c.at, got)
		}
	}
	if r.wait("b", now) > 0 {
		t.Error("another client has to wait")
	}
	for i := range 3 * maxBuckets {
		r.wait(fmt.Sprint(i), now)
	}
	if len(r.buckets) > maxBuckets {
		t.Errorf("%d clients are remembered, want at most %d", len(r.buckets), maxBuckets)
	}
	for in, want := range map[string]string{"10.0.0.1:5": "10.0.0.1", "[2001:db8::1]:5": "2001:db8::/64", "[2001:db8::ffff:2]:9": "2001:db8::/64", "@": "@"} {
		if got := address(in); got != want {
			t.Errorf("address %q: got %q, want %q", in, got, want)
		}
	}
}

func TestCORS(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.CORSOrigins = []string{"https://shop.example"} })
	send := func(method, origin string, more ...string) *httptest.ResponseRecorder {
		return ask(s, method, "/v1/captions", bytes.NewReader(picturePNG(1, 0)), append(more, "Content-Type: image/png", "Origin: "+origin)...)
	}
	w := send("OPTIONS", "https://shop.example", "Access-Control-Request-Method: POST")
	if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "https://shop.example" || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: got %d %v", w.Code, w.Header())
	}
	if w := send("POST", "https://shop.example"); w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "https://shop.example" {
		t.Errorf("allowed site: got %d %v", w.Code, w.Header())
	}
	if w := send("POST", "https://evil.example"); w.Code != 403 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("other site: got %d %v", w.Code, w.Header())
	}
	if err := ValidOrigin("shop.example/path"); err == nil {
		t.Error("an origin with a path: no error")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.MaxBody, o.MaxMemory = 100_000, 200_000 })
	if !s.budget.take(190_000) {
		t.Fatal("the budget gives nothing")
	}
	if p := decoded[problem](t, askPNG(s, "", 1), 429); p.Type != "/problems/queue-full" {
		t.Errorf("got %+v", p)
	}
	s.budget.give(190_000)
	decoded[answered](t, askPNG(s, "", 1), 200)
	if s.budget.inUse() != 0 {
		t.Errorf("%d bytes are held, want 0", s.budget.inUse())
	}
}

func TestMetrics(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.LiveTensors = func() int64 { return 42 } })
	askPNG(s, "", 1)
	askPNG(s, "?beam=x", 1)
	text := ask(s, "GET", "/metrics", nil).Body.String()
	for _, want := range []string{"captioner_captions_total 1", `captioner_failures_total{reason="bad-option"} 1`, "captioner_live_tensors 42", "captioner_queue_depth 0",
		`captioner_requests_total{method="POST",path="/v1/captions",status="200"} 1`, "captioner_batch_pictures_count 1", `captioner_stage_seconds_count{stage="model"} 1`,
		`captioner_stage_seconds_count{stage="decode"} 1`, "process_resident_memory_bytes", "go_goroutines", `captioner_failures_total{reason="queue-full"} 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestPageHeaders(t *testing.T) {
	s := start(t, &fake{}, nil)
	for _, f := range pageFiles {
		w := ask(s, "GET", f.path, nil)
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Type") != f.kind || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") ||
			strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %d %v", f.path, w.Code, h)
		}
		if w := ask(s, "GET", f.path, nil, "If-None-Match: "+h.Get("ETag")); w.Code != http.StatusNotModified {
			t.Errorf("%s again: got %d, want 304", f.path, w.Code)
		}
		for _, bad := range []string{"http://", "https://", "//cdn", "style=", "onclick=", "eval("} {
			text := strings.ReplaceAll(w.Body.String(), `xmlns="http://www.w3.org/2000/svg"`, "")
			if strings.Contains(text, bad) {
				t.Errorf("%s holds %q", f.path, bad)
			}
		}
	}
}

func TestAPictureThatNobodyThoughtOf(t *testing.T) {
	s := start(t, &fake{}, nil)
	if w := askPNG(s, "", badRed); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "nobody thought") {
		t.Errorf("got %d %s, want 500 without what went wrong inside", w.Code, w.Body)
	}
	if w := askPNG(s, "", 1); w.Code != http.StatusOK {
		t.Errorf("the next picture: got %d %s", w.Code, w.Body)
	}
	if n := s.engine.depth(); n != 0 || s.engine.preparing != 0 {
		t.Errorf("%d pictures hold a place and %d are on the way, want none", n, s.engine.preparing)
	}
}
