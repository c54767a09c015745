package decode

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wordTokens is a tokenizer of one token a word: its length.
func wordTokens(s string) []int32 {
	var out []int32
	for _, w := range strings.Fields(s) {
		out = append(out, int32(len(w)))
	}
	return out
}

// A request fits into the positions of its model: what was asked for is refused, what was not is shortened.
func TestResolveFitsThePositions(t *testing.T) {
	for name, c := range map[string]struct {
		r         Request
		positions int
		maxLen    int
		want      string
	}{
		"nothing asked": {Request{}, 20, 20, ""},
		"any number":    {Request{}, 0, 32, ""},
		"prompt":        {Request{Prompt: new("a photo of")}, 20, 17, ""},
		"prompt too long": {Request{Prompt: new("a photo of")}, 3, 0,
			"prompt of 3 tokens before a caption of 32: want at most 3 together for this model"},
		"asked":          {Request{MaxLen: new(20)}, 20, 20, ""},
		"asked too much": {Request{MaxLen: new(21)}, 20, 0, "max_len 21: want at most 20 for this model"},
		"asked with prompt": {Request{MaxLen: new(18), Prompt: new("a photo of")}, 20, 0,
			"prompt of 3 tokens before a caption of 18: want at most 20 together for this model"},
	} {
		o, err := c.r.Resolve(DefaultOptions(), wordTokens, c.positions)
		if fmt.Sprint(err) != c.want && (err != nil || c.want != "") || o.MaxLen != c.maxLen {
			t.Errorf("%s: got a longest caption of %d and %v, want %d and %q", name, o.MaxLen, err, c.maxLen, c.want)
		}
	}
}

// The rules of clip-text-decoder begin with its own settings, whatever model they are asked of.
func TestResolveByTheRulesOfClipDecoder(t *testing.T) {
	own := DefaultOptions()
	own.MinLen, own.EarlyStopping = 5, StopTrue
	old := DefaultOptions()
	old.Rule, old.Beam, old.MaxLen, old.LengthPenalty, old.NoRepeatNGram = ClipDecoder, 1, 24, 0, 0
	prefix := DefaultOptions()
	prefix.Rule, prefix.Beam, prefix.MaxLen, prefix.NoRepeatNGram = ClipCap, 5, 67, 0
	for name, c := range map[string]struct {
		own  Options
		r    Request
		want func(o *Options) // of the own options
	}{
		"greedy": {own, Request{Rule: new("python-greedy")}, func(o *Options) {
			o.Rule, o.Beam, o.MaxLen, o.MinLen, o.EarlyStopping = ClipDecoder, 1, 64, 0, ""
			o.LengthPenalty, o.NoRepeatNGram = 0, 0
		}},
		"beam": {own, Request{Rule: new("python-beam"), Beam: new(4)}, func(o *Options) {
			o.Rule, o.Beam, o.MaxLen, o.MinLen, o.EarlyStopping = ClipDecoder, 4, 64, 0, ""
			o.LengthPenalty, o.NoRepeatNGram = 0, 0
		}},
		"sample": {old, Request{Rule: new("python-sample"), Seed: new(uint64(7))}, func(o *Options) {
			o.Rule, o.TopK, o.Temperature, o.Seed = ClipDecoderSample, 1, 1e-8, 7
		}},
		"ClipCap's own": {prefix, Request{}, func(*Options) {}},
		"own":           {old, Request{}, func(*Options) {}},
		"own, several":  {old, Request{Captions: new(3)}, func(o *Options) { o.Captions, o.Beam = 3, 3 }},
		"search":        {old, Request{Rule: new("search")}, func(o *Options) { *o = DefaultOptions() }},
		"prompt": {old, Request{Prompt: new("a")}, func(o *Options) {
			*o = DefaultOptions()
			o.Prompt = []int32{1}
		}},
	} {
		got, err := c.r.Resolve(c.own, wordTokens, 100)
		want := c.own
		c.want(&want)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v\n%s", name, err, cmp.Diff(want, got))
		}
	}
}

// Every field has its own name and its own place in Has.
func TestEveryFieldIsThere(t *testing.T) {
	all := Request{
		Rule: new(""), Beam: new(0), MaxLen: new(0), MinLen: new(0), LengthPenalty: new(0.), NoRepeatNGram: new(0),
		Captions: new(0), Groups: new(0), Diversity: new(0.), Prompt: new(""), Task: new(""), Sample: new(false),
		Temperature: new(0.), TopK: new(0), TopP: new(0.), Seed: new(uint64(0)), Force: []string{""}, Ban: []string{""},
	}
	for _, f := range []Field{FieldRule, FieldBeam, FieldMaxLen, FieldMinLen, FieldLengthPenalty, FieldNoRepeatNGram,
		FieldCaptions, FieldGroups, FieldDiversity, FieldPrompt, FieldTask, FieldForce, FieldBan, FieldSample,
		FieldTemperature,
		FieldTopK, FieldTopP, FieldSeed} {
		if !all.Has(f) || new(Request).Has(f) {
			t.Errorf("%s: said %t, and %t in an empty request", f, all.Has(f), new(Request).Has(f))
		}
	}
	var first *FieldError
	if err := all.Check(); !errors.As(err, &first) || first.Field != FieldRule {
		t.Errorf("got %v, want the rule refused first", err)
	}
}
