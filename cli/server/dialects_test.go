package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded is a request as a client sent it: scripts/clients speaks to the service with the clients themselves.
type recorded struct {
	Name string          `json:"name"`
	Path string          `json:"path"`
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

func recordings(t testing.TB) []recorded {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "clients.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// read takes the texts out of an answer of any of the APIs, streamed or not, and what it says was ignored.
func readAnswer(t *testing.T, w *httptest.ResponseRecorder) (texts map[int]string, ignored []string, end string) {
	t.Helper()
	texts = make(map[int]string)
	stream := w.Header().Get("Content-Type") == "text/event-stream"
	for line := range strings.Lines(w.Body.String()) {
		line, isData := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if line == "" || stream && !isData {
			continue
		}
		if line == "[DONE]" {
			end += " [DONE]"
			continue
		}
		var v struct {
			Response json.RawMessage
			Message  struct{ Content string }
			Done     bool
			Reason   string `json:"done_reason"`
			Choices  []struct {
				Index          int
				Message, Delta struct{ Content string }
				FinishReason   string `json:"finish_reason"`
			}
			Output []struct{ Content []struct{ Text string } }
			Status string
			Type   string
			Delta  string

			Ignored []string
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		var text string
		if json.Unmarshal(v.Response, &text) == nil { // of Ollama, not an object of OpenAI's events
			texts[0] += text
		}
		texts[0] += v.Message.Content + v.Delta
		for _, c := range v.Choices {
			texts[c.Index] += c.Message.Content + c.Delta.Content
			end += c.FinishReason
		}
		for _, o := range v.Output {
			texts[0] += o.Content[0].Text
		}
		ignored = append(ignored, v.Ignored...)
		end += v.Reason + v.Status
		if v.Type == "response.completed" {
			end += v.Type
		}
	}
	return texts, ignored, end
}

// What clients send is answered with captions, in the shape that they read.
func TestRecordedClients(t *testing.T) {
	spec := specification(t)
	one := map[int]string{0: "fake sees 1 2"}
	want := map[string]struct {
		texts   map[int]string
		ignored []string
		end     string
		kind    string
	}{
		"ollama generate":                    {one, nil, "stop", "application/json"},
		"ollama generate, streamed":          {one, nil, "stop", "application/x-ndjson"},
		"ollama generate, to load the model": {map[int]string{0: ""}, nil, "load", "application/json"},
		"ollama chat":                        {one, []string{"option temperature"}, "stop", "application/json"},
		"ollama chat, streamed":              {one, nil, "stop", "application/x-ndjson"},
		"openai chat": {map[int]string{0: "fake sees 1 2", 1: "fake sees 1 2, take 2"}, nil, "stopstop",
			"application/json"},
		"openai chat, streamed":      {one, nil, "stop [DONE]", "text/event-stream"},
		"openai responses":           {one, []string{"pirate", "temperature"}, "completed", "application/json"},
		"openai responses, streamed": {one, nil, "response.completed", "text/event-stream"},
		"PhotoPrism": {one, []string{"active voice", "no formatting", "option temperature"}, "stop",
			"application/json"},
		"curl, without a content type of JSON": {one, nil, "stop", "application/json"},
	}
	seen := 0
	for _, r := range recordings(t) {
		t.Run(r.Name, func(t *testing.T) {
			f := &fake{}
			s := start(t, f, nil)
			w := ask(s, "POST", r.Path, bytes.NewReader(r.Body), "Content-Type: "+r.Type)
			c, ok := want[r.Name]
			if !ok || w.Code != 200 {
				t.Fatalf("recording %t, got %d %s", ok, w.Code, w.Body)
			}
			texts, ignored, end := readAnswer(t, w)
			if !cmp.Equal(texts, c.texts) || !slices.Equal(ignored, c.ignored) || end != c.end {
				t.Errorf("got %v, ignored %q, end %q\nwant %v, ignored %q, end %q\n%s",
					texts, ignored, end, c.texts, c.ignored, c.end, w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != c.kind {
				t.Errorf("content type %q, want %q", got, c.kind)
			}
			if err := described(spec, "POST", r.Path, w); err != nil {
				t.Error(err)
			}
			if s.engine.depth() != 0 || s.budget.inUse() != 0 {
				t.Errorf("%d places and %d bytes are held, want none", s.engine.depth(), s.budget.inUse())
			}
		})
		seen++
	}
	if seen != len(want) {
		t.Errorf("%d recordings, want %d", seen, len(want))
	}
}

// What an instruction asks for reaches the model.
func TestInstructionsReachTheModel(t *testing.T) {
	f := &fake{}
	s := start(t, f, nil)
	image := fmt.Sprintf("%q", encoded(imagePNG(1, 2)))
	for body, want := range map[string]string{
		`"prompt":"Describe it in detail"`:                               "min 12 max 32 penalty 1.5 bans 0",
		`"prompt":"a short one"`:                                         "min 0 max 32 penalty 0 bans 0",
		`"prompt":"alt text","options":{"num_predict":6}`:                "min 0 max 6 penalty 0.7 bans 4",
		`"prompt":"","system":"In detail","options":{"num_predict":999}`: "min 12 max 32 penalty 1.5 bans 0",
	} {
		w := ask(s, "POST", "/api/generate", strings.NewReader(`{"model":"fake","images":[`+image+`],`+body+`}`))
		if w.Code != 200 {
			t.Fatalf("%s: got %d %s", body, w.Code, w.Body)
		}
		o := f.options[len(f.options)-1]
		got := fmt.Sprintf("min %d max %d penalty %g bans %d", o.MinLen, o.MaxLen, o.LengthPenalty, len(o.Ban))
		if got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

// Refusals have the status of the reason and the shape of the API.
func TestDialectsRefuse(t *testing.T) {
	spec := specification(t)
	image := encoded(imagePNG(1, 2))
	chat := func(parts string) string {
		return `{"model":"fake","messages":[{"role":"user","content":[` + parts + `]}]}`
	}
	url := func(u string) string { return chat(fmt.Sprintf(`{"type":"image_url","image_url":{"url":%q}}`, u)) }
	for name, c := range map[string]struct {
		path, body string
		status     int
		code, says string
	}{
		"another model": {"/api/generate", `{"model":"llava","images":["` + image + `"]}`, 404, "",
			`"llava", want "fake"`},
		"another model, too":   {"/v1/chat/completions", `{"model":"gpt-x"}`, 404, "unknown_model", "gpt-x"},
		"no model":             {"/api/chat", `{"messages":[]}`, 404, "", "model"},
		"no image":             {"/api/generate", `{"model":"fake","prompt":"hello"}`, 400, "", "no image"},
		"no image, too":        {"/v1/responses", `{"model":"fake","input":"hello"}`, 400, "bad_request", "no image"},
		"no JSON":              {"/api/chat", `{`, 400, "", "JSON"},
		"JSON of another kind": {"/v1/chat/completions", `{"model":3}`, 400, "bad_request", "JSON"},
		"no base64":            {"/api/generate", `{"model":"fake","images":["?"]}`, 400, "", "images[0]"},
		"no image's bytes":     {"/api/generate", `{"model":"fake","images":["AAAA"]}`, 422, "", "image"},
		"a format": {"/api/generate", `{"model":"fake","format":"json","images":["` + image + `"]}`, 400, "",
			"format"},
		"a response format": {"/v1/chat/completions", `{"model":"fake","response_format":{"type":"json_object"}}`, 400,
			"bad_request", "json_object"},
		"an odd part":   {"/v1/chat/completions", chat(`{"type":"input_audio"}`), 400, "bad_request", "input_audio"},
		"an odd scheme": {"/v1/chat/completions", url("file:///etc/passwd"), 400, "bad_request", "want data:"},
		"no such host": {"/v1/chat/completions", url("http://gone.example/a"), 422, "unreachable_image",
			"cannot be reached"},
		"not found": {"/v1/chat/completions", url("http://there.example/404"), 422, "unreachable_image", "status 404"},
		"too many choices": {"/v1/chat/completions", `{"model":"fake","n":17,"messages":[{"role":"user","content":[` +
			`{"type":"image_url","image_url":{"url":"data:;base64,` + image + `"}}]}]}`, 400, "bad_option", "num_captions"},
		"an answer before": {"/v1/responses", `{"model":"fake","input":"x","previous_response_id":"y"}`, 400,
			"bad_request", "no answers are kept"},
		"show what": {"/api/show", `{}`, 400, "", "name"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, &fake{}, func(o *Options) { o.Fetch = fetchFake })
			w := ask(s, "POST", c.path, strings.NewReader(c.body), "Content-Type: application/json")
			var text, code string
			if c.code == "" {
				var e struct{ Error string }
				json.Unmarshal(w.Body.Bytes(), &e)
				text = e.Error
			} else {
				var e struct {
					Error struct{ Message, Code, Type string }
				}
				json.Unmarshal(w.Body.Bytes(), &e)
				text, code = e.Error.Message, e.Error.Code
			}
			if w.Code != c.status || code != c.code || !strings.Contains(text, c.says) {
				t.Errorf("got %d %s, want %d, code %q and %q", w.Code, w.Body, c.status, c.code, c.says)
			}
			if err := described(spec, "POST", c.path, w); err != nil {
				t.Error(err)
			}
			if strings.Contains(w.Body.String(), "10.0.0.53") {
				t.Errorf("the answer names a machine of ours: %s", w.Body)
			}
			if s.engine.depth() != 0 || s.budget.inUse() != 0 {
				t.Errorf("%d places and %d bytes are held, want none", s.engine.depth(), s.budget.inUse())
			}
		})
	}
}

// fetchFake has one image, and no other host.
func fetchFake(_ context.Context, url string) ([]byte, error) {
	switch url {
	case "http://there.example/image":
		return imagePNG(1, 2), nil
	case "http://there.example/404":
		return nil, errors.New("HTTP status 404")
	}
	return nil, &net.DNSError{Err: "no such host", Name: "gone.example", Server: "10.0.0.53:53", IsNotFound: true}
}

// Images that are elsewhere are fetched, within the memory that there is, and only where the service may.
func TestImagesAreFetched(t *testing.T) {
	body := `{"model":"fake","input":[{"role":"user","content":[
		{"type":"input_image","image_url":"http://there.example/image"}]}]}`
	post := func(s *Server) *httptest.ResponseRecorder {
		return ask(s, "POST", "/v1/responses", strings.NewReader(body), "Content-Type: application/json")
	}
	s := start(t, &fake{}, func(o *Options) { o.Fetch = fetchFake })
	if w := post(s); w.Code != 200 || !strings.Contains(w.Body.String(), "fake sees 1 2") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	s.budget.take(s.o.MaxMemory - s.o.MaxBody)
	if w := post(s); w.Code != 429 {
		t.Errorf("without memory: got %d %s", w.Code, w.Body)
	}
	if w := post(start(t, &fake{}, nil)); w.Code != 400 || !strings.Contains(w.Body.String(), "data: URL") {
		t.Errorf("where nothing is fetched: got %d %s", w.Code, w.Body)
	}
}

// Keys, methods and what there is to know are as everywhere, in the shape of each API.
func TestDialectsAreGuarded(t *testing.T) {
	s := start(t, &fake{}, func(o *Options) { o.Release = "1.2.3" })
	if w := ask(s, "GET", "/api/version", nil); w.Body.String() != `{"version":"1.2.3"}`+"\n" {
		t.Errorf("version: got %s", w.Body)
	}
	if w := ask(s, "GET", "/api/tags", nil); !strings.Contains(w.Body.String(), `"name":"fake:latest"`) {
		t.Errorf("tags: got %s", w.Body)
	}
	w := ask(s, "POST", "/api/show", strings.NewReader(`{"name":"captioner"}`))
	if !strings.Contains(w.Body.String(), `"vision"`) {
		t.Errorf("show: got %s", w.Body)
	}
	s.SetTokens([]string{"0123456789abcdef"})
	for path, want := range map[string]string{
		"/api/tags": `{"error":"found no bearer token"}`, "/api/generate": `"error":"found the method`,
		"/v1/responses": `"code":"method_not_allowed"`,
	} {
		if w := ask(s, "GET", path, nil); w.Code < 401 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	w = ask(s, "POST", "/v1/responses", strings.NewReader(`{}`))
	if w.Code != 401 || !strings.Contains(w.Body.String(), `"code":"unauthorized"`) {
		t.Errorf("OpenAI without a key: got %d %s", w.Code, w.Body)
	}
}

// Whatever a chat request holds, reading it gives a request or an error that its client can read.
func FuzzDialects(f *testing.F) {
	for _, r := range recordings(f) {
		for i := range uint8(5) {
			f.Add([]byte(r.Body), i)
		}
	}
	s := start(f, &fake{}, func(o *Options) { o.MaxBody, o.MaxMemory, o.MaxImages = 1<<16, 1<<20, 4 })
	paths := []string{"/api/generate", "/api/chat", "/v1/chat/completions", "/v1/responses", "/api/show"}
	f.Fuzz(func(t *testing.T, body []byte, which uint8) {
		w := ask(s, "POST", paths[int(which)%len(paths)], bytes.NewReader(body))
		if w.Code != 200 && (w.Code < 400 || w.Code > 499 || !json.Valid(w.Body.Bytes())) {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		if s.engine.depth() != 0 || s.budget.inUse() != 0 {
			t.Fatalf("%d places and %d bytes are held, want none", s.engine.depth(), s.budget.inUse())
		}
	})
}
