package decode

import "fmt"

// Processors are what generate of Hugging Face does to the scores of next tokens beyond the settings that a Request
// has, as generation_config.json says it (transformers 4.57, generation/logits_process.py). The zero value does
// nothing. Its JSON stands in a model file.
//
// The context of a caption is the begin token, the prompt and the tokens chosen so far. Runs of tokens are looked for
// there. Those that ban tokens are applied here; those that change scores (Scores) need whole vocabularies and are the
// Stepper's.
type Processors struct {
	Scores
	BadWords        [][]int32 `json:"bad_words_ids,omitempty"`                // runs of tokens that never occur
	EncoderNoRepeat int       `json:"encoder_no_repeat_ngram_size,omitempty"` // runs of this length that were read
	ForcedFirst     []int32   `json:"forced_bos_token_id,omitempty"`          // one is the first token without a prompt
	ForcedLast      []int32   `json:"forced_eos_token_id,omitempty"`          // one is the token number MaxLen
	Suppress        []int32   `json:"suppress_tokens,omitempty"`              // never chosen
	BeginSuppress   []int32   `json:"begin_suppress_tokens,omitempty"`        // not chosen first, a forced one not counted
}

// Scores are the processors that change scores.
type Scores struct {
	Bias              []Bias  `json:"sequence_bias,omitempty"`
	EncoderRepetition float64 `json:"encoder_repetition_penalty,omitempty"` // of tokens that were read; 0 and 1 are off
	Decay             *Decay  `json:"exponential_decay_length_penalty,omitempty"`
	Renormalize       bool    `json:"renormalize_logits,omitempty"` // scores are made to sum to 1 again, as the last step
}

// Bias is added to the score of the last token of a run where the tokens before it have just been chosen.
type Bias struct {
	Tokens []int32 `json:"tokens"`
	Add    float32 `json:"add"`
}

// Decay makes end tokens likelier from a number of chosen tokens on, by a power of Factor.
type Decay struct {
	From   int     `json:"from"`
	Factor float64 `json:"factor"`
}

// None says whether no scores are changed.
func (s Scores) None() bool {
	return len(s.Bias) == 0 && (s.EncoderRepetition == 0 || s.EncoderRepetition == 1) && s.Decay == nil && !s.Renormalize
}

// Check reports tokens that are none of a vocabulary's.
func (p Processors) Check(vocabulary int64) error {
	lists := map[string][][]int32{
		"bad_words_ids":         p.BadWords,
		"forced_bos_token_id":   {p.ForcedFirst},
		"forced_eos_token_id":   {p.ForcedLast},
		"suppress_tokens":       {p.Suppress},
		"begin_suppress_tokens": {p.BeginSuppress},
	}
	for _, b := range p.Bias {
		lists["sequence_bias"] = append(lists["sequence_bias"], b.Tokens)
	}
	for _, name := range []string{
		"bad_words_ids", "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens",
		"sequence_bias",
	} {
		for _, list := range lists[name] {
			for _, id := range list {
				if id < 0 || int64(id) >= vocabulary {
					return fmt.Errorf("%s: found the token %d, want one of the vocabulary's %d", name, id, vocabulary)
				}
			}
		}
	}
	return nil
}

// WhatIsRead is what a model has read before it writes: Read, or what captions begin with.
func (o *Options) WhatIsRead() []int32 {
	if o.Read != nil {
		return o.Read
	}
	return append([]int32{o.BOS}, o.Prompt...)
}

// begin is how many tokens are chosen before the one that BeginSuppress is for: none, or the one that is forced.
func (o *Options) begin() int {
	if len(o.Prompt) == 0 && len(o.Processors.ForcedFirst) > 0 {
		return 1
	}
	return 0
}

// forced are the tokens of which a step must choose one, without a cost; nil where it may choose any. chosen is how
// many tokens captions have behind the prompt.
func (o *Options) forced(chosen int) []int32 {
	p := &o.Processors
	switch {
	case chosen == o.MaxLen-1 && len(p.ForcedLast) > 0:
		return p.ForcedLast
	case chosen == 0 && len(o.Prompt) == 0:
		return p.ForcedFirst
	}
	return nil
}
