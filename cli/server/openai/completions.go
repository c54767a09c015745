package openai

import (
	"encoding/json"
	"fmt"
	"io"

	"captioner/cli/server/chat"
)

// Completion reads a request of /v1/chat/completions.
func Completion(body []byte) (*chat.Request, error) {
	var q struct {
		sampling
		Model               string `json:"model"`
		Messages            []turn `json:"messages"`
		N                   int    `json:"n"`
		MaxTokens           int    `json:"max_tokens"`
		MaxCompletionTokens int    `json:"max_completion_tokens"`
		Stream              bool   `json:"stream"`
		StreamOptions       struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		ResponseFormat *struct {
			Type string `json:"type"`
		} `json:"response_format"`
	}
	if err := decode(body, &q); err != nil {
		return nil, err
	}
	if err := plainText("response_format", q.ResponseFormat); err != nil {
		return nil, err
	}
	if q.N < 0 {
		return nil, chat.Errorf("n", "n %d: want 1 or more", q.N)
	}
	r := &chat.Request{Model: q.Model, Choices: q.N, MaxLen: max(q.MaxTokens, q.MaxCompletionTokens, 0), Stream: q.Stream,
		Usage: q.StreamOptions.IncludeUsage}
	q.ignore(r)
	return r, read(r, "messages", q.Messages)
}

type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
	Ignored []string `json:"ignored,omitempty"` // captioner's own: what of the request was not followed
}

type choice struct {
	Index        int      `json:"index"`
	Message      *message `json:"message,omitempty"`
	Delta        *message `json:"delta,omitempty"`
	Logprobs     *int     `json:"logprobs"` // none
	FinishReason *string  `json:"finish_reason"`
}

type message struct {
	Role    string  `json:"role,omitempty"`
	Content string  `json:"content,omitempty"`
	Refusal *string `json:"refusal,omitempty"`
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// WriteCompletion writes the answer to /v1/chat/completions.
func WriteCompletion(w io.Writer, r *chat.Request, a chat.Answer) error {
	tokens := sum(a.Tokens)
	c := completion{
		ID: id("chatcmpl-"), Object: "chat.completion", Created: a.Created.Unix(), Model: r.Model, Ignored: a.Ignored,
		Usage: &usage{CompletionTokens: tokens, TotalTokens: tokens}, // no token of the request reaches the model
	}
	if r.Stream {
		return streamCompletion(w, c, r.Usage, a)
	}
	for i, text := range a.Texts {
		end := finish(a.Cut[i])
		m := &message{Role: "assistant", Content: text}
		c.Choices = append(c.Choices, choice{Index: i, Message: m, FinishReason: &end})
	}
	return json.NewEncoder(w).Encode(c)
}

// streamCompletion writes a chunk with each text and one with its end; then the count of tokens, where it was asked
// for.
func streamCompletion(w io.Writer, c completion, count bool, a chat.Answer) error {
	total := c.Usage
	c.Object, c.Usage = "chat.completion.chunk", nil
	for i, text := range a.Texts {
		end := finish(a.Cut[i])
		for _, part := range []choice{
			{Index: i, Delta: &message{Role: "assistant", Content: text}},
			{Index: i, Delta: &message{}, FinishReason: &end},
		} {
			c.Choices = []choice{part}
			if err := event(w, "", c); err != nil {
				return err
			}
			c.Ignored = nil // once is enough
		}
	}
	if count {
		c.Choices, c.Usage = []choice{}, total
		if err := event(w, "", c); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(w, "data: [DONE]\n\n")
	return err
}
