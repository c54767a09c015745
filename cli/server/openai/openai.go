// Package openai reads requests of OpenAI's API and writes its answers: /v1/chat/completions, /v1/responses and
// /v1/models (https://platform.openai.com/docs/api-reference). It knows no model and no limits.
package openai

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"captioner/cli/server/chat"
)

// ContentType is that of an answer.
func ContentType(stream bool) string {
	if stream {
		return "text/event-stream"
	}
	return "application/json"
}

// Error is how OpenAI says what is wrong; param is the part of the request, "" for none.
func Error(status int, code, text, param string) any {
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	}
	kind := "invalid_request_error"
	switch {
	case status == 429:
		kind = "rate_limit_error"
	case status >= 500:
		kind = "server_error"
	}
	e := inner{Message: text, Type: kind, Code: strings.ReplaceAll(code, "-", "_")}
	if param != "" {
		e.Param = &param
	}
	return struct {
		Error inner `json:"error"`
	}{e}
}

// ModelEntry is one model of the list at /v1/models.
type ModelEntry struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// Entry describes a model.
func Entry(name string, created time.Time) ModelEntry {
	return ModelEntry{ID: name, Object: "model", Created: created.Unix(), OwnedBy: "captioner"}
}

// decode reads JSON. Fields that are not known are of no interest: clients send many.
func decode(body []byte, q any) error {
	if err := json.Unmarshal(body, q); err != nil {
		return chat.Errorf("", "the body is not JSON as this request has it: %v", err)
	}
	return nil
}

// sampling are settings that a caption does not follow.
type sampling struct {
	Temperature      *float64        `json:"temperature"`
	TopP             *float64        `json:"top_p"`
	Seed             *int64          `json:"seed"`
	Stop             json.RawMessage `json:"stop"`
	PresencePenalty  *float64        `json:"presence_penalty"`
	FrequencyPenalty *float64        `json:"frequency_penalty"`
	Tools            []any           `json:"tools"`
}

func (s sampling) ignore(r *chat.Request) {
	r.Ignore("temperature", s.Temperature != nil)
	r.Ignore("top_p", s.TopP != nil)
	r.Ignore("seed", s.Seed != nil)
	r.Ignore("stop", len(s.Stop) > 0 && string(s.Stop) != "null")
	r.Ignore("presence_penalty", s.PresencePenalty != nil)
	r.Ignore("frequency_penalty", s.FrequencyPenalty != nil)
	r.Ignore("tools", len(s.Tools) > 0)
}

// plainText refuses a format of the answer that is not text.
func plainText(param string, format *struct {
	Type string `json:"type"`
}) error {
	if format != nil && format.Type != "" && format.Type != "text" {
		return chat.Errorf(param, "found the format %.60q, want text: a captioner answers with a sentence", format.Type)
	}
	return nil
}

// part is a piece of a message: text or an image. The two APIs name them differently.
type part struct {
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	ImageURL json.RawMessage `json:"image_url"`
	FileID   string          `json:"file_id"`
}

// turn is one message.
type turn struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// parts reads the content of a message: a string, or a list of parts.
func (t turn) parts(param string) ([]part, error) {
	content := bytes.TrimSpace(t.Content)
	if len(content) == 0 || string(content) == "null" {
		return nil, nil
	}
	if content[0] == '"' {
		var text string
		if err := decode(content, &text); err != nil {
			return nil, err
		}
		return []part{{Type: "text", Text: text}}, nil
	}
	var parts []part
	if err := json.Unmarshal(content, &parts); err != nil {
		return nil, chat.Errorf(param, "%s: want a string or a list of parts", param)
	}
	return parts, nil
}

// read puts messages into a request: the images of the last message that has some, and the text that is about them.
func read(r *chat.Request, list string, turns []turn) error {
	for i, t := range turns {
		param := fmt.Sprintf("%s[%d].content", list, i)
		parts, err := t.parts(param)
		if err != nil {
			return err
		}
		var images []chat.Image
		var texts []string
		for k, p := range parts {
			at := fmt.Sprintf("%s[%d]", param, k)
			switch p.Type {
			case "text", "input_text", "output_text":
				texts = append(texts, p.Text)
			case "image_url", "input_image":
				img, err := p.image(at)
				if err != nil {
					return err
				}
				images = append(images, img)
			default:
				return chat.Errorf(at, "%s: found a part of the type %.60q, want text or an image", at, p.Type)
			}
		}
		if len(images) > 0 {
			r.Images = images
		}
		if t.Role != "assistant" && (len(images) > 0 || len(r.Images) > 0 || t.Role != "user") {
			r.Text = strings.TrimSpace(r.Text + "\n" + strings.Join(texts, "\n"))
		}
	}
	return nil
}

// image reads the URL of a part: a string, or an object that holds it.
func (p part) image(param string) (chat.Image, error) {
	if p.FileID != "" {
		return chat.Image{}, chat.Errorf(param, "%s: found a file_id, want image_url: no files are kept", param)
	}
	raw := bytes.TrimSpace(p.ImageURL)
	var url string
	var object struct {
		URL string `json:"url"`
	}
	if json.Unmarshal(raw, &url) != nil && json.Unmarshal(raw, &object) != nil {
		return chat.Image{}, chat.Errorf(param, "%s: found no image_url", param)
	}
	if url == "" {
		url = object.URL
	}
	return chat.ImageURL(param, url)
}

// id is a name for an answer. No answer is kept under it.
func id(kind string) string { return kind + rand.Text() }

// event writes one server-sent event; name is "" where the API has none.
func event(w io.Writer, name string, v any) error {
	if name != "" {
		if _, err := fmt.Fprintf(w, "event: %s\n", name); err != nil {
			return err
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "data: %s\n\n", b)
	return err
}

// finish says how a text ended, as chat completions do.
func finish(cut bool) string {
	if cut {
		return "length"
	}
	return "stop"
}

func sum(n []int) (total int) {
	for _, x := range n {
		total += x
	}
	return total
}
