package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"captioner/cli/server/edit"
	"captioner/cli/server/export"
	"captioner/cli/server/page"
	"captioner/cli/server/problem"
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
	Index        *int             `json:"index"`
	Name         string           `json:"name"`
	Caption      string           `json:"caption"`
	Confidence   float64          `json:"confidence"`
	Alternatives []alternative    `json:"alternatives"`
	Model        string           `json:"model"`
	Error        *problem.Problem `json:"error"`
	Embedding    any              `json:"embedding"`
	Places       int              `json:"places"`
	Results      []answered       `json:"results"`
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

func TestOneImage(t *testing.T) {
	s := start(t, &fake{}, nil)
	got := decoded[answered](t, askPNG(s, "?num-captions=2&beam=4", 7), 200)
	if got.Caption != "fake sees 7 0" || got.Confidence != .5 || got.Model != "fake" || len(got.Alternatives) != 1 ||
		got.Index != nil {
		t.Errorf("got %+v", got)
	}
	w := ask(s, "POST", "/v1/captions", bytes.NewReader(imagePNG(7, 1)), "Content-Type: image/png", "Accept: text/plain")
	if w.Body.String() != "fake sees 7 1\n" {
		t.Errorf("as text: got %q", w.Body)
	}
}

func TestManyImages(t *testing.T) {
	s := start(t, &fake{}, nil)
	send := func(accept string) *httptest.ResponseRecorder {
		b, kind := form(t, "a.png", imagePNG(1, 0), "num_captions", "2", "b.png", []byte("no image"), "c.png", imagePNG(3, 0))
		return ask(s, "POST", "/v1/captions", b, kind, "Accept: "+accept)
	}
	got := decoded[answered](t, send("*/*"), 200).Results
	if len(got) != 3 || got[0].Caption != "fake sees 1 0" || got[0].Name != "a.png" ||
		*got[2].Index != 2 || got[2].Caption != "fake sees 3 0" || got[1].Error == nil ||
		got[1].Error.Type != "/problems/undecodable-picture" ||
		len(got[0].Alternatives) != 1 {
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
	p := decoded[problem.Problem](t, ask(s, "POST", "/v1/captions", b, kind), 422)
	if !strings.Contains(p.Detail, "none of 2 images") {
		t.Errorf("none readable: got %+v", p)
	}
	b, kind = form(t, "a.png", imagePNG(4, 0))
	one := decoded[answered](t, ask(s, "POST", "/v1/captions", b, kind), 200)
	if one.Caption != "fake sees 4 0" || one.Name != "a.png" {
		t.Errorf("a form of one: got %+v, want the answer itself", one)
	}
}

func TestImagesInJSON(t *testing.T) {
	s := start(t, &fake{}, nil)
	b64 := base64.StdEncoding.EncodeToString(imagePNG(5, 0))
	send := func(v string) *httptest.ResponseRecorder {
		return ask(s, "POST", "/v1/captions", strings.NewReader(v), "Content-Type: application/json")
	}
	for name, text := range map[string]string{
		"plain": b64, "unpadded": strings.TrimRight(b64, "="), "data URL": "data:image/png;base64," + b64,
		"URL alphabet": base64.URLEncoding.EncodeToString(imagePNG(5, 0))} {
		got := decoded[answered](t, send(fmt.Sprintf(`{"image":%q,"beam_size":2,"num_captions":2}`, text)), 200)
		if got.Caption != "fake sees 5 0" || len(got.Alternatives) != 1 {
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
		w := ask(s, "POST", "/v1/embeddings"+query, bytes.NewReader(imagePNG(5, 6)), "Content-Type: image/png")
		return decoded[answered](t, w, 200)
	}
	if got := get(""); fmt.Sprint(got.Embedding) != "[5 6 1.5]" || got.Places != 1 {
		t.Errorf("pooled: got %+v", got)
	}
	places := get("?form=places&encoding=base64")
	if places.Places != 4 {
		t.Errorf("places: got %+v", places)
	}
	for name, embedding := range map[string]any{
		"places": places.Embedding, "pooled": get("").Embedding, "pooled base64": get("?encoding=base64").Embedding,
	} {
		b, _ := json.Marshal(map[string]any{"embedding": embedding, "num_captions": 2})
		w := ask(s, "POST", "/v1/captions:fromEmbedding", bytes.NewReader(b), "Content-Type: application/json")
		got := decoded[answered](t, w, 200)
		if got.Caption != "fake sees 5 6" || len(got.Alternatives) != 1 {
			t.Errorf("captions from %s: got %+v", name, got)
		}
	}
	for name, b := range map[string]string{
		"length":   `{"embedding":[1,2]}`,
		"infinite": `{"embedding":[1e39,0,0]}`,
		"text":     `{"embedding":["a","b","c"]}`,
		"NaN":      `{"embedding":"AADAfwAAAAAAAAAA"}`,
		"both":     `{"embedding":[1,2,3],"embeddings":[]}`,
		"image":    `{"image":"AAAA"}`,
	} {
		w := ask(s, "POST", "/v1/captions:fromEmbedding", strings.NewReader(b), "Content-Type: application/json")
		decoded[problem.Problem](t, w, 400)
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
		"":                                  func(o *decode.Options) {},
		"?beam_size=5&max_len=9":            func(o *decode.Options) { o.Beam, o.MaxLen = 5, 9 },
		"?length-penalty=0":                 func(o *decode.Options) { o.LengthPenalty = 0 },
		"?num_captions=5":                   func(o *decode.Options) { o.Captions, o.Beam = 5, 5 },
		"?diverse=2&num_captions=3":         func(o *decode.Options) { o.Groups, o.Captions, o.Beam = 2, 3, 4 },
		"?prompt=two+words":                 func(o *decode.Options) { o.Prompt = []int32{7, 7} },
		"?force=red|blue&force=dog":         func(o *decode.Options) { o.Force, o.Beam = [][][]int32{{{7}}, {{7}}}, 9 },
		"?ban=cat":                          func(o *decode.Options) { o.Ban = [][]int32{{7}} },
		"?force=|":                          nil,
		"?min_length=3&no_repeat_ngram":     nil,
		"?min_length=35":                    func(o *decode.Options) { o.MinLen, o.MaxLen = 35, 36 },
		"?force=a&sample=true":              nil,
		"?" + strings.Repeat("&force=a", 8): nil,

		"?sample=true&seed=3&top_k=5": func(o *decode.Options) { o.Sample, o.Seed, o.TopK = true, 3, 5 },
	} {
		w := askPNG(s, query, 1)
		if want == nil {
			decoded[problem.Problem](t, w, 400)
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

// Draws depend on image and seed alone.
func TestDrawsDoNotDependOnTheBatch(t *testing.T) {
	s := start(t, &fake{}, nil)
	alone := decoded[answered](t, askPNG(s, "?sample=true&seed=9", 3), 200).Caption
	b, kind := form(t, "a", imagePNG(1, 0), "b", imagePNG(2, 0), "c", imagePNG(3, 0))
	w := ask(s, "POST", "/v1/captions?sample=true&seed=9", b, kind)
	if got := decoded[answered](t, w, 200).Results[2].Caption; got != alone {
		t.Errorf("got %q among others, %q alone", got, alone)
	}
}

// Each way to ask wrongly has its answer: status, type and what it says.
func TestRefusals(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.MaxBody, o.MaxImages, o.MaxPixels = 20_000, 3, 10_000 })
	pic := string(imagePNG(1, 0))
	bomb := string(hugePNG())
	js := "Content-Type: application/json"
	big := strings.Repeat("x", 20_001)
	many, manyKind := form(t, "a", imagePNG(1, 0), "b", imagePNG(1, 0), "c", imagePNG(1, 0), "d", imagePNG(1, 0))
	manyBytes, _ := io.ReadAll(many)
	for name, c := range map[string]struct {
		method, path string // "" is POST /v1/captions
		query        string
		body         string // "" is a good image
		empty        bool   // the body
		header       string // "" is the content type of a PNG
		status       int    // 0 is 400
		kind         string // "" is bad-option
		says         string
	}{
		"no such path": {method: "GET", path: "/v2", empty: true, status: 404, kind: "not-found"},
		"path trick":   {method: "GET", path: "/../page.css", empty: true, status: 404, kind: "not-found"},
		"encoded trick": {
			method: "GET",
			path:   "/%2e%2e/%2e%2e/etc/passwd",
			empty:  true,
			status: 404,
			kind:   "not-found",
		},
		"double slash": {method: "GET", path: "//etc/passwd", empty: true, status: 404, kind: "not-found"},
		"backslash":    {method: "GET", path: "/page%5c..%5cpage.css", empty: true, status: 404, kind: "not-found"},
		"NUL":          {method: "GET", path: "/page.css%00", empty: true, status: 404, kind: "not-found"},
		"page folder":  {method: "GET", path: "/page/", empty: true, status: 404, kind: "not-found"},
		"wrong method": {method: "GET", empty: true, status: 405, kind: "method-not-allowed", says: "POST"},
		"odd method": {
			method: "BREW",
			path:   "/healthz",
			empty:  true,
			status: 405,
			kind:   "method-not-allowed",
			says:   "GET",
		},
		"no type": {
			body: "hello", header: "Content-Type: ", status: 415, kind: "unsupported-type", says: "no image",
		},
		"no type, and empty": {empty: true, header: "Content-Type: ", kind: "bad-request", says: "empty"},
		"curl's own type": {
			body:   "a=b",
			header: "Content-Type: application/x-www-form-urlencoded",
			status: 415,
			kind:   "unsupported-type",
			says:   "urlencoded",
		},
		"JPEG XL": {
			body: "\xff\x0a", header: "Content-Type: image/jxl", status: 415, kind: "unsupported-type", says: "image/jxl",
		},
		"broken type": {body: "x", header: "Content-Type: ;;", status: 415, kind: "unsupported-type"},
		"gzip":        {header: "Content-Encoding: gzip", status: 415, kind: "unsupported-type", says: "gzip"},
		"empty":       {empty: true, kind: "bad-request", says: "empty"},
		"cut":         {body: pic[:len(pic)-30], status: 422, kind: "undecodable-picture"},
		"no image":    {body: "hello", status: 422, kind: "undecodable-picture", says: "hello"},
		"bomb":        {body: bomb, status: 413, kind: "too-many-pixels", says: "limit 10000"},
		"large":       {body: big, status: 413, kind: "too-large", says: "20001"},
		"too many":    {body: string(manyBytes), header: manyKind, status: 413, kind: "too-many-pictures", says: "3"},
		"10,000 parts": {
			body:   strings.Repeat("--x\r\n\r\n\r\n", 1900),
			header: "Content-Type: multipart/form-data; boundary=x",
		},
		"no boundary": {header: "Content-Type: multipart/form-data", kind: "bad-request", says: "boundary"},
		"cut form":    {body: string(manyBytes[:200]), header: manyKind, kind: "truncated-body"},
		"no form": {
			body:   "hello",
			header: "Content-Type: multipart/form-data; boundary=x",
			kind:   "bad-request",
			says:   "no image",
		},
		"empty form": {
			body:   "--x--\r\n",
			header: "Content-Type: multipart/form-data; boundary=x",
			kind:   "bad-request",
			says:   "no image",
		},
		"bad JSON":        {body: "{", header: js, kind: "bad-request", says: "too early"},
		"JSON twice":      {body: `{"image":"AAAA"} {}`, header: js, kind: "bad-request", says: "behind"},
		"JSON list":       {body: `[]`, header: js, kind: "bad-request", says: "array"},
		"JSON NaN":        {body: `{"image":"AAAA","length_penalty":NaN}`, header: js, kind: "bad-request"},
		"JSON too large":  {body: `{"image":"AAAA","length_penalty":1e999}`, header: js, says: "length_penalty"},
		"JSON wrong kind": {body: `{"image":"AAAA","beam_size":"3"}`, header: js, says: "whole number"},
		"JSON unknown":    {body: `{"image":"AAAA","beams":3}`, header: js, says: "beams"},
		"JSON depth": {
			body:   `{"images":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
			header: js,
			kind:   "bad-request",
		},
		"JSON bytes": {body: "{\"image\":\"\xff\"}", header: js, kind: "bad-request", says: "UTF-8"},
		"no base64":  {body: `{"image":"?"}`, header: js, kind: "bad-request", says: "base64"},
		"nested base64": {
			body:   `{"image":"` + twice(pic) + `"}`,
			header: js,
			status: 422,
			kind:   "undecodable-picture",
		},
		"image and images":     {body: `{"image":"AAAA","images":[]}`, header: js, kind: "bad-request", says: "either"},
		"no image in the body": {body: `{}`, header: js, kind: "bad-request", says: "either"},
		"no images":            {body: `{"images":[]}`, header: js, kind: "bad-request", says: "no image"},
		"unknown option":       {query: "?beams=3", says: "beams"},
		"option twice":         {query: "?beam=3&beam_size=3", says: "twice"},
		"NaN":                  {query: "?length_penalty=NaN", says: "number"},
		"infinite":             {query: "?sample=1&temperature=Inf", says: "number"},
		"invalid UTF-8":        {query: "?prompt=%ff", says: "UTF-8"},
		"invalid name":         {query: "?%ff=1"},
		"invalid query":        {query: "?a=%zz", kind: "bad-request", says: "query"},
		"long prompt":          {query: "?prompt=" + strings.Repeat("a", 1001), says: "1000"},
		"many words":           {query: "?prompt=" + strings.Repeat("a+", 45), says: "at most 40"},
		"beam 0":               {query: "?beam_size=0", says: "beam_size 0"},
		"wide beam":            {query: "?beam_size=17", says: "at most 16"},
		"many captions":        {query: "?num_captions=17", says: "at most 16"},
		"negative":             {query: "?max_len=-1", says: "max_len -1"},
		"long caption":         {query: "?max_len=65", says: "at most 64"},
		"sample and beam":      {query: "?sample=1&beam_size=2", says: "contradict"},
		"seed alone":           {query: "?seed=1", says: "needs sample"},
		"no time":              {query: "?timeout_ms=0", says: "timeout_ms"},
		"odd form":             {path: "/v1/embeddings?form=x", says: "pooled"},
		"beam of features":     {path: "/v1/embeddings?beam_size=3", says: "beam_size"},
		"image, embedded": {
			path:   "/v1/captions:fromEmbedding",
			status: 415,
			kind:   "unsupported-type",
			says:   "json",
		},
		"other site": {header: "Origin: https://evil.example", status: 403, kind: "cross-origin"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.body == "" && !c.empty {
				c.body = pic
			}
			method, path := cmp.Or(c.method, "POST"), cmp.Or(c.path, "/v1/captions")+c.query
			status, kind := cmp.Or(c.status, 400), cmp.Or(c.kind, "bad-option")
			r := httptest.NewRequest(method, "/", strings.NewReader(c.body))
			u, err := url.Parse("http://example.com" + path) // which keeps the dots
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
			r.Header.Set("Content-Type", "image/png")
			if k, v, _ := strings.Cut(c.header, ": "); k != "" {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			p := decoded[problem.Problem](t, w, status)
			if p.Type != "/problems/"+kind || !strings.Contains(p.Detail, c.says) || p.Remedy == "" || p.Status != status {
				t.Errorf("got %+v, want type %q with %q and a remedy", p, kind, c.says)
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

// A file is what its bytes say, whatever the client calls it.
func TestAFileWithoutATypeIsSniffed(t *testing.T) {
	s := start(t, &fake{}, nil)
	for _, kind := range []string{"", ";;", "application/x-www-form-urlencoded", "image/jxl", "text/plain"} {
		w := ask(s, "POST", "/v1/captions", bytes.NewReader(imagePNG(4, 0)), "Content-Type: "+kind)
		if got := decoded[answered](t, w, 200); got.Caption != "fake sees 4 0" {
			t.Errorf("%q: got %+v", kind, got)
		}
	}
}

// With -v each request is a line, without anything that the client wrote.
func TestRequestsAreLogged(t *testing.T) {
	var log bytes.Buffer
	s, err := New(&fake{name: "fake"}, DefaultOptions(),
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	askPNG(s, "?prompt=secret", 1)
	ask(s, "BREW", "/v1/captions/secret", nil)
	for i, want := range []string{
		"method=POST path=/v1/captions status=200 ms=", "method=other path=other status=404 ms=",
	} {
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[i], want) || strings.Contains(lines[i], "secret") {
			t.Errorf("got %q, want %q as line %d", lines, want, i)
		}
	}
}

func twice(s string) string {
	return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
}

// hugePNG has a header of 1x20000 pixels, and nothing that it would cost.
func hugePNG() []byte {
	b := slices.Clone(imagePNG(1, 0))
	copy(b[16:24], []byte{0, 0, 0, 1, 0, 0, 0x4e, 0x20})
	// the checksum of the chunk that says so
	sum := crcOf(b[12:29])
	copy(b[29:33], sum)
	return b
}

func TestNothingInternalLeaks(t *testing.T) {
	s := start(t, &fake{fail: func([]*image.RGB) error { return errors.New("secret path /srv/secret") }}, nil)
	w := askPNG(s, "", 1)
	p := decoded[problem.Problem](t, w, 500)
	if p.Type != "/problems/internal" || strings.Contains(w.Body.String(), "secret") {
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
	body := readerFunc(func([]byte) (int, error) { read = true; return 0, io.EOF })
	w := ask(s, "POST", "/v1/captions", body, "Content-Type: image/png")
	p := decoded[problem.Problem](t, w, 429)
	if p.Type != "/problems/queue-full" || w.Header().Get("Retry-After") == "" || read {
		t.Errorf("got %+v, Retry-After %q, body read %t; want queue-full, some seconds, unread",
			p, w.Header().Get("Retry-After"), read)
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
	if p := decoded[problem.Problem](t, askPNG(s, "?timeout_ms=20", 1), 504); p.Type != "/problems/deadline" {
		t.Errorf("got %+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/captions", bytes.NewReader(imagePNG(2, 0)))
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
	for header, want := range map[string]int{
		"":                                       401,
		"Authorization: Bearer 0123456789abcdef": 200,
		"Authorization: bearer another-token-of-mine": 200,
		"Authorization: Bearer 0123456789abcdeX":      401,
		"Authorization: Basic 0123456789abcdef":       401,
		"Authorization: Bearer ":                      401,
	} {
		w := ask(s, "GET", "/v1/models", nil, header)
		if w.Code != want || (want == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%q: got %d, want %d", header, w.Code, want)
		}
	}
	for path, want := range map[string]int{
		"/": 200, "/healthz": 200, "/readyz": 200, "/openapi.json": 200, "/metrics": 401, "/version": 401,
	} {
		if w := ask(s, "GET", path, nil); w.Code != want {
			t.Errorf("%s without a token: got %d, want %d", path, w.Code, want)
		}
	}
	s.SetTokens(nil)
	if w := ask(s, "GET", "/v1/models", nil); w.Code != 200 {
		t.Errorf("without tokens: got %d, want 200", w.Code)
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
}

func TestCORS(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.CORSOrigins = []string{"https://shop.example"} })
	send := func(method, origin string, more ...string) *httptest.ResponseRecorder {
		headers := append(more, "Content-Type: image/png", "Origin: "+origin)
		return ask(s, method, "/v1/captions", bytes.NewReader(imagePNG(1, 0)), headers...)
	}
	w := send("OPTIONS", "https://shop.example", "Access-Control-Request-Method: POST")
	if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "https://shop.example" ||
		!strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: got %d %v", w.Code, w.Header())
	}
	if w := send("POST", "https://shop.example"); w.Code != 200 ||
		w.Header().Get("Access-Control-Allow-Origin") != "https://shop.example" {
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
	if p := decoded[problem.Problem](t, askPNG(s, "", 1), 429); p.Type != "/problems/queue-full" {
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
	for _, want := range []string{
		"captioner_captions_total 1", "captioner_live_tensors 42", "captioner_queue_depth 0",
		`captioner_failures_total{reason="bad-option"} 1`, `captioner_failures_total{reason="queue-full"} 0`,
		`captioner_requests_total{method="POST",path="/v1/captions",status="200"} 1`, "captioner_batch_pictures_count 1",
		`captioner_stage_seconds_count{stage="model"} 1`, `captioner_stage_seconds_count{stage="decode"} 1`,
		"process_resident_memory_bytes", "go_goroutines",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestPageHeaders(t *testing.T) {
	s := start(t, &fake{}, nil)
	for _, f := range page.Files(false) {
		w := ask(s, "GET", f.Path, nil)
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Type") != f.Kind ||
			!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") ||
			strings.Contains(h.Get("Content-Security-Policy"), "unsafe") ||
			h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %d %v", f.Path, w.Code, h)
		}
		if w := ask(s, "GET", f.Path, nil, "If-None-Match: "+h.Get("ETag")); w.Code != http.StatusNotModified {
			t.Errorf("%s again: got %d, want 304", f.Path, w.Code)
		}
		for _, bad := range []string{"http://", "https://", "//cdn", "style=", "onclick=", "eval("} {
			text := strings.ReplaceAll(w.Body.String(), `xmlns="http://www.w3.org/2000/svg"`, "")
			if strings.Contains(text, bad) {
				t.Errorf("%s holds %q", f.Path, bad)
			}
		}
	}
}

func TestAnImageThatNobodyThoughtOf(t *testing.T) {
	s := start(t, &fake{}, nil)
	if w := askPNG(s, "", badRed); w.Code != http.StatusInternalServerError ||
		strings.Contains(w.Body.String(), "nobody thought") {
		t.Errorf("got %d %s, want 500 without what went wrong inside", w.Code, w.Body)
	}
	if w := askPNG(s, "", 1); w.Code != http.StatusOK {
		t.Errorf("the next image: got %d %s", w.Code, w.Body)
	}
	if n := s.engine.depth(); n != 0 || s.engine.preparing != 0 {
		t.Errorf("%d images hold a place and %d are on the way, want none", n, s.engine.preparing)
	}
}

// Of several models a request takes the one that it names, in every API.
func TestSeveralModels(t *testing.T) {
	a, b := &fake{name: "a"}, &fake{name: "b"}
	s, err := New(a, DefaultOptions(), quietLog(), b)
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{"": "a", "?model=a": "a", "?model=b": "b", "?model=captioner": "a"} {
		if got := decoded[answered](t, askPNG(s, query, 1), 200); got.Model != want ||
			!strings.HasPrefix(got.Caption, want+" sees") {
			t.Errorf("%q: got %+v, want the model %s", query, got, want)
		}
	}
	if p := decoded[problem.Problem](t, askPNG(s, "?model=c", 1), 404); !strings.Contains(p.Detail, `want "a" or "b"`) {
		t.Errorf("got %+v, want both names", p)
	}
	body := `{"model":"b","stream":false,"prompt":"Describe it","images":["` + encoded(imagePNG(1, 2)) + `"]}`
	if w := ask(s, "POST", "/api/generate", strings.NewReader(body)); !strings.Contains(w.Body.String(), "b sees 1 2") {
		t.Errorf("Ollama: got %s", w.Body)
	}
	for _, path := range []string{"/v1/models", "/api/tags"} {
		if got := ask(s, "GET", path, nil).Body.String(); !strings.Contains(got, `"a`) || !strings.Contains(got, `"b`) {
			t.Errorf("%s: got %s, want both models", path, got)
		}
	}
	s.Swap(&fake{name: "b"})
	if b.closed != 1 || a.closed != 0 {
		t.Errorf("after another b came: a closed %d times, b %d, want 0 and 1", a.closed, b.closed)
	}
	s.Close()
	if a.closed != 1 {
		t.Errorf("at the end a was closed %d times, want once", a.closed)
	}
	if _, err := New(a, DefaultOptions(), quietLog(), &fake{name: "a"}); err == nil {
		t.Error("two models of one name: want an error")
	}
}

// What the page holds comes back as the files that predict writes.
func TestExport(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.Release = "1.2.3" })
	body := `{"captions":[{"path":"a.jpg","caption":"a <dog>","logprob":-1,"confidence":0.5,"model":"m",
		"keywords":[{"keyword":"dog","probability":1}]}]}`
	w := ask(s, "POST", "/v1/captions:export?format=xmp", strings.NewReader(body), "Content-Type: application/json")
	got := decoded[struct{ Sidecars []export.Sidecar }](t, w, 200)
	if len(got.Sidecars) != 1 || got.Sidecars[0].Path != "a.jpg" {
		t.Fatalf("got %+v", got)
	}
	for _, want := range []string{"a &lt;dog&gt;", "<rdf:li>dog</rdf:li>", "captioner 1.2.3"} {
		if !strings.Contains(got.Sidecars[0].XMP, want) {
			t.Errorf("the XMP lacks %q:\n%s", want, got.Sidecars[0].XMP)
		}
	}
	w = ask(s, "POST", "/v1/captions:export?format=parquet", strings.NewReader(body), "Content-Type: application/json")
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "PAR1") {
		t.Errorf("Parquet: got %d %.40q", w.Code, w.Body)
	}
	for query, body := range map[string]string{"?format=png": body, "": body, "?format=xmp": `{"captions":7}`} {
		w := ask(s, "POST", "/v1/captions:export"+query, strings.NewReader(body), "Content-Type: application/json")
		decoded[problem.Problem](t, w, 400)
	}
}

// The page that edits a folder is there where it was asked for, and for no other site.
func TestEditing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.png"), imagePNG(1, 2), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := edit.Open(dir, ".txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	without := start(t, &fake{}, nil)
	s := start(t, &fake{}, func(o *Options) { o.Edit, o.CORSOrigins = f, []string{"https://friend.example"} })
	save := func() io.Reader {
		return strings.NewReader(`{"captions":[{"name":"a.png","caption":"mine","version":""}]}`)
	}
	for _, test := range []struct {
		name, method, path string
		headers            []string
		status             int
	}{
		{"the page", "GET", "/edit", nil, 200},
		{"the list", "GET", "/edit/files", nil, 200},
		{"an image", "GET", "/edit/image?name=a.png", nil, 200},
		{"a large image", "GET", "/edit/image?name=a.png&large=1", nil, 200},
		{"an image elsewhere", "GET", "/edit/image?name=../a.png", nil, 404},
		{"a caption", "POST", "/edit/caption?name=a.png&beam_size=2", nil, 200},
		{"a bad option", "POST", "/edit/caption?name=a.png&beam=x", nil, 400},
		{"no JSON", "POST", "/edit/save", []string{"Content-Type: text/plain"}, 415},
		{"another site", "POST", "/edit/save", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"another port", "POST", "/edit/save", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"an allowed site", "POST", "/edit/save", []string{"Origin: https://friend.example"}, 403},
		{"an allowed site reads", "GET", "/edit/files", []string{"Origin: https://friend.example"}, 403},
		{"another name", "GET", "/edit/files", []string{"Host: evil.example"}, 403},
		{"a caption is saved", "POST", "/edit/save", []string{"Sec-Fetch-Site: same-origin"}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "http://localhost"+test.path, save())
			r.Header.Set("Content-Type", "application/json")
			for _, h := range test.headers {
				name, value, _ := strings.Cut(h, ": ")
				if name == "Host" {
					r.Host = value
				}
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != test.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, test.status)
			}
			there, err := os.ReadFile(filepath.Join(dir, "a.txt"))
			if saved := test.name == "a caption is saved"; saved != (string(there) == "mine\n") {
				t.Errorf("the file holds %q, %v", there, err)
			}
			if w := ask(without, test.method, test.path, save()); w.Code != 404 {
				t.Errorf("without --edit: got %d, want 404", w.Code)
			}
		})
	}
}
