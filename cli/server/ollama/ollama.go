// Package ollama reads requests of Ollama's API and writes its answers: /api/generate, /api/chat, /api/tags, /api/show
// and /api/version (https://github.com/ollama/ollama/blob/main/docs/api.md). It knows no model and no limits.
package ollama

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"captioner/cli/server/chat"
)

// settings are what generate and chat have in common.
type settings struct {
	Model   string          `json:"model"`
	Stream  *bool           `json:"stream"`
	Format  json.RawMessage `json:"format"`
	Options map[string]any  `json:"options"`
	Tools   []any           `json:"tools"`
}

// request begins what a request asks for. Ollama streams where nobody says otherwise.
func (s settings) request() (*chat.Request, error) {
	if f := bytes.TrimSpace(s.Format); len(f) > 0 && string(f) != `""` && string(f) != "null" {
		return nil, chat.Errorf("format", "found a format, want none: a captioner answers with a sentence")
	}
	r := &chat.Request{Model: s.Model, Stream: s.Stream == nil || *s.Stream}
	for _, name := range []string{"temperature", "top_k", "top_p", "min_p", "seed", "stop", "repeat_penalty"} {
		_, said := s.Options[name]
		r.Ignore("option "+name, said)
	}
	if n, ok := s.Options["num_predict"].(float64); ok && n >= 1 {
		r.MaxLen = int(min(n, 1<<20))
	}
	r.Ignore("tools", len(s.Tools) > 0)
	return r, nil
}

// Generate reads a request of /api/generate.
func Generate(body []byte) (*chat.Request, error) {
	var q struct {
		settings
		Prompt string   `json:"prompt"`
		System string   `json:"system"`
		Images []string `json:"images"`
	}
	if err := decode(body, &q); err != nil {
		return nil, err
	}
	r, err := q.request()
	if err != nil {
		return nil, err
	}
	r.Text = join(q.System, q.Prompt)
	r.Load = len(q.Images) == 0 && strings.TrimSpace(q.Prompt) == "" // Ollama's way to load a model ahead
	return r, addImages(r, "images", q.Images)
}

// Chat reads a request of /api/chat. The images of the last message that has some are captioned.
func Chat(body []byte) (*chat.Request, error) {
	var q struct {
		settings
		Messages []struct {
			Role    string   `json:"role"`
			Content string   `json:"content"`
			Images  []string `json:"images"`
		} `json:"messages"`
	}
	if err := decode(body, &q); err != nil {
		return nil, err
	}
	r, err := q.request()
	if err != nil {
		return nil, err
	}
	r.Load = len(q.Messages) == 0
	last := -1
	for i, m := range q.Messages {
		if m.Role == "system" || m.Role == "user" && len(m.Images) > 0 {
			r.Text = join(r.Text, m.Content)
		}
		if len(m.Images) > 0 {
			last = i
		}
	}
	if last < 0 {
		return r, nil
	}
	for _, m := range q.Messages[last+1:] { // what was said about the images since
		if m.Role == "user" {
			r.Text = join(r.Text, m.Content)
		}
	}
	return r, addImages(r, fmt.Sprintf("messages[%d].images", last), q.Messages[last].Images)
}

// decode reads JSON. Fields that are not known are of no interest: Ollama's clients send many.
func decode(body []byte, q any) error {
	if err := json.Unmarshal(body, q); err != nil {
		return chat.Errorf("", "the body is not JSON as this request has it: %v", err)
	}
	return nil
}

func addImages(r *chat.Request, param string, images []string) error {
	for i, text := range images {
		b, err := chat.Base64(text)
		if err != nil {
			return chat.Errorf(fmt.Sprintf("%s[%d]", param, i), "%s[%d]: %v", param, i, err)
		}
		r.Images = append(r.Images, chat.Image{Bytes: b})
	}
	return nil
}

func join(a, b string) string { return strings.TrimSpace(a + "\n" + b) }

// message is a message of a chat.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// answer is a line of an answer; the last one has the figures.
type answer struct {
	Model     string    `json:"model"`
	CreatedAt time.Time `json:"created_at"`
	Response  *string   `json:"response,omitempty"` // of generate
	Message   *message  `json:"message,omitempty"`  // of chat
	Done      bool      `json:"done"`
	*figures
}

// figures are how an answer ended, and how long it took, in nanoseconds.
type figures struct {
	DoneReason         string   `json:"done_reason"`
	TotalDuration      int64    `json:"total_duration"`
	LoadDuration       int64    `json:"load_duration"`
	PromptEvalCount    int      `json:"prompt_eval_count"`
	PromptEvalDuration int64    `json:"prompt_eval_duration"`
	EvalCount          int      `json:"eval_count"`
	EvalDuration       int64    `json:"eval_duration"`
	Ignored            []string `json:"ignored,omitempty"` // captioner's own: what of the request was not followed
}

// ContentType is that of an answer.
func ContentType(stream bool) string {
	if stream {
		return "application/x-ndjson"
	}
	return "application/json"
}

// WriteGenerate writes the answer to /api/generate.
func WriteGenerate(w io.Writer, r *chat.Request, a chat.Answer) error {
	return write(w, r, a, func(l *answer, text string) { l.Response = &text })
}

// WriteChat writes the answer to /api/chat.
func WriteChat(w io.Writer, r *chat.Request, a chat.Answer) error {
	return write(w, r, a, func(l *answer, text string) { l.Message = &message{"assistant", text} })
}

// write writes one line, or, as a stream, one with the text and one with the figures.
func write(w io.Writer, r *chat.Request, a chat.Answer, put func(*answer, string)) error {
	text := ""
	f := &figures{DoneReason: "load", TotalDuration: a.Total.Nanoseconds(), Ignored: a.Ignored}
	if len(a.Texts) > 0 {
		text = a.Texts[0]
		f.DoneReason, f.EvalCount, f.EvalDuration = "stop", a.Tokens[0], a.Compute.Nanoseconds()
		if a.Cut[0] {
			f.DoneReason = "length"
		}
	}
	line := answer{Model: r.Model, CreatedAt: a.Created.UTC()}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if r.Stream && text != "" {
		first := line
		put(&first, text)
		if err := e.Encode(first); err != nil {
			return err
		}
		text = ""
	}
	put(&line, text)
	line.Done, line.figures = true, f
	return e.Encode(line)
}

// Error is how Ollama says what is wrong.
func Error(text string) any {
	return struct {
		Error string `json:"error"`
	}{text}
}
