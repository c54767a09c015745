package decode

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// fixedStepper gives the same log-probabilities at each step: those of -1, -2, … for tokens 0, 1, … of a vocabulary.
type fixedStepper struct {
	vocabulary int32
	steps      int
}

func (f *fixedStepper) Step(r StepRequest) (c Candidates, err error) {
	f.steps++
	for row := range r.Tokens {
		n := 0
		for id := int32(0); id < f.vocabulary && n < r.K; id++ {
			if row < len(r.Ban) && slices.Contains(r.Ban[row], id) {
				continue
			}
			c.IDs, c.LogProbs = append(c.IDs, id), append(c.LogProbs, -float32(id+1))
			n++
		}
		for ; n < r.K; n++ {
			c.IDs, c.LogProbs = append(c.IDs, -1), append(c.LogProbs, 0)
		}
	}
	return c, nil
}

// Tokens are forced and banned as generate's logits processors do it. The end token is 6, the first one that is fed 7.
func TestProcessorsForceAndBan(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(o *Options)
		want   []int32
	}{
		{"nothing", func(*Options) {}, []int32{0, 0, 0, 0}},
		{"first token", func(o *Options) { o.Processors.ForcedFirst = []int32{5} }, []int32{5, 0, 0, 0}},
		{"not behind a prompt", func(o *Options) {
			o.Prompt, o.Processors.ForcedFirst = []int32{3}, []int32{5}
		}, []int32{3, 0, 0, 0, 0}},
		{"last token", func(o *Options) { o.Processors.ForcedLast = []int32{6} }, []int32{0, 0, 0}},
		{"suppressed", func(o *Options) { o.Processors.Suppress = []int32{0, 6} }, []int32{1, 1, 1, 1}},
		{"suppressed first", func(o *Options) { o.Processors.BeginSuppress = []int32{0} }, []int32{1, 0, 0, 0}},
		{"suppressed behind a forced one", func(o *Options) {
			o.Processors.ForcedFirst, o.Processors.BeginSuppress = []int32{5}, []int32{0}
		}, []int32{5, 1, 0, 0}},
		{"bad words", func(o *Options) {
			o.Processors.BadWords = [][]int32{{0, 0}, {0, 1, 0}, {6}}
		}, []int32{0, 1, 1, 0}},
		{"a bad word that begins with the first token fed", func(o *Options) {
			o.Processors.BadWords = [][]int32{{7, 0}, {7, 1, 1}}
		}, []int32{0, 0, 0, 0}}, // generate looks for runs no longer than the context
		{"runs that were read", func(o *Options) {
			o.Read, o.Processors.EncoderNoRepeat = []int32{2, 0, 0, 1}, 2
		}, []int32{0, 2, 1, 0}},
		{"tokens that were read", func(o *Options) {
			o.Read, o.Processors.EncoderNoRepeat = []int32{2, 0, 0, 1}, 1
		}, []int32{3, 3, 3, 3}},
		{"runs with the first token fed", func(o *Options) {
			o.BOS, o.NoRepeatNGram, o.EarlyStopping = 0, 2, StopFalse
		}, []int32{0, 1, 0, 2}},
	} {
		o := DefaultOptions()
		o.BOS, o.EOS, o.MaxLen, o.NoRepeatNGram, o.Beam, o.LengthPenalty = 7, 6, 4, 0, 1, 0
		tt.change(&o)
		out, err := Run(&fixedStepper{vocabulary: 7}, 2, o)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for image := range out {
			if got := out[image][0].Tokens; !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			}
		}
	}
}

// Forced tokens cost nothing, and the model is not asked at a step whose outcome is settled and leads nowhere.
func TestForcedTokensCostNothing(t *testing.T) {
	o := DefaultOptions()
	o.BOS, o.EOS, o.MaxLen, o.NoRepeatNGram, o.Beam, o.EarlyStopping = 7, 6, 4, 0, 3, StopTrue
	o.Processors.ForcedFirst, o.Processors.ForcedLast = []int32{5}, []int32{6}
	f := &fixedStepper{vocabulary: 6}
	out, err := Run(f, 1, o)
	if err != nil {
		t.Fatal(err)
	}
	if h := out[0][0]; !slices.Equal(h.Tokens, []int32{5, 0, 0}) || math.Abs(h.LogProb+2) > 1e-6 || !h.Finished {
		t.Errorf("got %+v, want 5 0 0 of -2, finished", h)
	}
	if f.steps != 3 {
		t.Errorf("got %d steps of the model, want 3", f.steps)
	}
}

func TestProcessorsCheck(t *testing.T) {
	for name, p := range map[string]Processors{
		"bad_words_ids: found the token 9":         {BadWords: [][]int32{{1, 9}}},
		"forced_bos_token_id: found the token 9":   {ForcedFirst: []int32{9}},
		"suppress_tokens: found the token -1":      {Suppress: []int32{-1}},
		"sequence_bias: found the token 9":         {Scores: Scores{Bias: []Bias{{Tokens: []int32{9}}}}},
		"begin_suppress_tokens: found the token 9": {BeginSuppress: []int32{9}},
	} {
		if err := p.Check(9); err == nil || err.Error() != name+", want one of the vocabulary's 9" {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

// A model that reads prompts takes a task by its name, and any other prompt as it is; another model refuses tasks.
func TestResolveOfAModelThatReadsPrompts(t *testing.T) {
	own := DefaultOptions()
	err := own.ReadUsual(&Reading{
		Tasks: []Task{{"caption", "say"}, {"ocr", "read it"}},
		Prompt: func(text string) ([]int32, error) {
			if text == "bad" {
				return nil, errors.New("a good one")
			}
			return wordTokens(text), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		r      Request
		prompt []int32
		task   string
		want   string
	}{
		"nothing": {Request{}, []int32{3}, "caption", ""},
		"task":    {Request{Task: new("ocr")}, []int32{4, 2}, "ocr", ""},
		"prompt":  {Request{Prompt: new(" a photo of ")}, []int32{1, 5, 2}, "", ""},
		"blank":   {Request{Prompt: new(" ")}, []int32{3}, "caption", ""},
		"unknown": {Request{Task: new("od")}, nil, "", `task "od": want one of caption, ocr`},
		"both":    {Request{Task: new("ocr"), Prompt: new("a")}, nil, "", "task and prompt contradict each other"},
		"refused": {Request{Prompt: new("bad")}, nil, "", `prompt "bad": want a good one`},
	} {
		o, err := c.r.Resolve(own, wordTokens, 33)
		switch {
		case c.want != "":
			if err == nil || err.Error() != c.want {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
		case err != nil || !slices.Equal(o.Prompt, c.prompt) || o.Task != c.task || o.MaxLen != 32:
			t.Errorf("%s: got %v, the task %q, %d tokens and %v, want %v and %q", name, o.Prompt, o.Task, o.MaxLen, err,
				c.prompt, c.task)
		}
	}
	_, err = (Request{Task: new("ocr")}).Resolve(DefaultOptions(), wordTokens, 0)
	if err == nil || err.Error() != `task "ocr": want none: this model has no tasks` {
		t.Errorf("got %v, want the task refused", err)
	}
}

// Lengths of prompt and caption leave the caption what the prompt does not take.
func TestResolveLengthsOfAll(t *testing.T) {
	own := DefaultOptions()
	own.MaxLen, own.MinLen, own.MaxLenOfAll, own.MinLenOfAll = 10, 5, true, true
	for name, c := range map[string]struct {
		r        Request
		max, min int
		want     string
	}{
		"none":   {Request{}, 10, 5, ""},
		"prompt": {Request{Prompt: new("a photo of")}, 7, 2, ""},
		"asked":  {Request{Prompt: new("a photo of"), MaxLen: new(10), MinLen: new(5)}, 10, 5, ""},
		"too long": {Request{Prompt: new("a b c d e f g h i j")}, 0, 0, "prompt of 10 tokens: want fewer than the 10 that " +
			"the model gives prompt and caption, or more by max_len"},
	} {
		o, err := c.r.Resolve(own, wordTokens, 100)
		if c.want != "" {
			if err == nil || err.Error() != c.want {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
		} else if err != nil || o.MaxLen != c.max || o.MinLen != c.min {
			t.Errorf("%s: got %d, %d and %v, want %d and %d", name, o.MaxLen, o.MinLen, err, c.max, c.min)
		}
	}
}
