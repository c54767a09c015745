package openai

import (
	"bytes"
	"encoding/json"
	"io"

	"captioner/cli/server/chat"
)

// Response reads a request of /v1/responses.
func Response(body []byte) (*chat.Request, error) {
	var q struct {
		sampling
		Model           string          `json:"model"`
		Input           json.RawMessage `json:"input"`
		Instructions    string          `json:"instructions"`
		MaxOutputTokens int             `json:"max_output_tokens"`
		Stream          bool            `json:"stream"`
		Text            struct {
			Format *struct {
				Type string `json:"type"`
			} `json:"format"`
		} `json:"text"`
		PreviousResponseID string `json:"previous_response_id"`
		Background         bool   `json:"background"`
	}
	if err := decode(body, &q); err != nil {
		return nil, err
	}
	if err := plainText("text.format", q.Text.Format); err != nil {
		return nil, err
	}
	if q.PreviousResponseID != "" || q.Background {
		return nil, chat.Errorf("previous_response_id", "found previous_response_id or background: no answers are kept")
	}
	r := &chat.Request{Model: q.Model, Text: q.Instructions, MaxLen: max(q.MaxOutputTokens, 0), Stream: q.Stream}
	q.ignore(r)
	input := bytes.TrimSpace(q.Input)
	if len(input) > 0 && input[0] == '"' {
		return r, read(r, "input", []turn{{Role: "user", Content: input}})
	}
	var turns []turn
	if err := json.Unmarshal(input, &turns); err != nil {
		return nil, chat.Errorf("input", "input: want a string or a list of messages")
	}
	return r, read(r, "input", turns)
}

// WriteResponse writes the answer to /v1/responses.
func WriteResponse(w io.Writer, r *chat.Request, a chat.Answer) error {
	v := newResponse(r, a)
	if r.Stream {
		return v.stream(w)
	}
	return json.NewEncoder(w).Encode(v)
}

// response is an answer. Its fields without omitempty are those that the API always has.
type response struct {
	ID                 string        `json:"id"`
	Object             string        `json:"object"`
	CreatedAt          int64         `json:"created_at"`
	Status             string        `json:"status"`
	Error              *int          `json:"error"`
	IncompleteDetails  *reason       `json:"incomplete_details"`
	Instructions       *string       `json:"instructions"`
	MaxOutputTokens    *int          `json:"max_output_tokens"`
	Model              string        `json:"model"`
	Output             []item        `json:"output"`
	ParallelToolCalls  bool          `json:"parallel_tool_calls"`
	PreviousResponseID *string       `json:"previous_response_id"`
	Store              bool          `json:"store"`
	Temperature        *float64      `json:"temperature"`
	Text               format        `json:"text"`
	ToolChoice         string        `json:"tool_choice"`
	Tools              []any         `json:"tools"`
	TopP               *float64      `json:"top_p"`
	Truncation         string        `json:"truncation"`
	Usage              *usageDetails `json:"usage"`
	Metadata           struct{}      `json:"metadata"`
	Ignored            []string      `json:"ignored,omitempty"` // captioner's own: what of the request was not followed
}

type reason struct {
	Reason string `json:"reason"`
}

type format struct {
	Format struct {
		Type string `json:"type"`
	} `json:"format"`
}

type item struct {
	Type    string    `json:"type"`
	ID      string    `json:"id"`
	Status  string    `json:"status"`
	Role    string    `json:"role"`
	Content []content `json:"content"`
}

type content struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	Annotations []any  `json:"annotations"`
	Logprobs    []any  `json:"logprobs"`
}

type usageDetails struct {
	InputTokens        int `json:"input_tokens"`
	InputTokensDetails struct {
		CacheWriteTokens int `json:"cache_write_tokens"`
		CachedTokens     int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens        int `json:"output_tokens"`
	OutputTokensDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

func newResponse(r *chat.Request, a chat.Answer) response {
	tokens := sum(a.Tokens)
	v := response{
		ID: id("resp_"), Object: "response", CreatedAt: a.Created.Unix(), Status: "completed", Model: r.Model,
		ToolChoice: "none", Tools: []any{}, Truncation: "disabled", Ignored: a.Ignored,
		Usage: &usageDetails{OutputTokens: tokens, TotalTokens: tokens}, // no token of the request reaches the model
		Output: []item{{Type: "message", ID: id("msg_"), Status: "completed", Role: "assistant",
			Content: []content{{Type: "output_text", Text: a.Texts[0], Annotations: []any{}, Logprobs: []any{}}}}},
	}
	v.Text.Format.Type = "text"
	if a.Cut[0] {
		v.Status, v.IncompleteDetails = "incomplete", &reason{"max_output_tokens"}
		v.Output[0].Status = "incomplete"
	}
	return v
}

// stream writes the events in which the answer grows: the response, its message, the message's part, its text, and the
// same backwards as each is done.
func (v response) stream(w io.Writer) error {
	done := v.Output[0]
	part := done.Content[0]
	begun, empty, none := v, done, part
	begun.Status, begun.Output, begun.Usage, begun.IncompleteDetails = "in_progress", []item{}, nil, nil
	empty.Status, empty.Content = "in_progress", []content{}
	none.Text = ""
	at := place{ItemID: done.ID}
	end := "response.completed"
	if v.Status == "incomplete" {
		end = "response.incomplete"
	}
	for i, e := range []grown{
		{Type: "response.created", Response: &begun},
		{Type: "response.in_progress", Response: &begun},
		{Type: "response.output_item.added", Item: &empty, OutputIndex: new(0)},
		{Type: "response.content_part.added", Part: &none, place: &at, OutputIndex: new(0)},
		{Type: "response.output_text.delta", Delta: part.Text, place: &at, OutputIndex: new(0), Logprobs: &part.Logprobs},
		{Type: "response.output_text.done", Text: part.Text, place: &at, OutputIndex: new(0), Logprobs: &part.Logprobs},
		{Type: "response.content_part.done", Part: &part, place: &at, OutputIndex: new(0)},
		{Type: "response.output_item.done", Item: &done, OutputIndex: new(0)},
		{Type: end, Response: &v},
	} {
		e.SequenceNumber = i
		if err := event(w, e.Type, e); err != nil {
			return err
		}
	}
	return nil
}

// grown is one event of a stream.
type grown struct {
	Type           string    `json:"type"`
	SequenceNumber int       `json:"sequence_number"`
	Response       *response `json:"response,omitempty"`
	OutputIndex    *int      `json:"output_index,omitempty"`
	*place
	Item     *item    `json:"item,omitempty"`
	Part     *content `json:"part,omitempty"`
	Delta    string   `json:"delta,omitempty"`
	Text     string   `json:"text,omitempty"`
	Logprobs *[]any   `json:"logprobs,omitempty"`
}

// place is where in the message a part is.
type place struct {
	ItemID       string `json:"item_id"`
	ContentIndex int    `json:"content_index"`
}
