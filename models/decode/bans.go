package decode

import "slices"

// bans makes the lists of tokens that must not come next, one a row.
type bans struct {
	o       *Options
	always  []int32   // banned runs of one token
	early   []int32   // these and the end tokens, below MinLen
	longer  [][]int32 // banned runs of several tokens
	words   [][]int32 // those of Processors, which may begin with the begin token
	rows    [][]int32
	spare   []int32 // where the rows' own lists lie, one after the other
	context []int32 // of a row, where the begin token counts
}

func newBans(o *Options) *bans {
	b := &bans{o: o}
	for _, run := range o.Ban {
		if len(run) == 1 {
			b.always = append(b.always, run[0])
		} else {
			b.longer = append(b.longer, run)
		}
	}
	for _, run := range o.Processors.BadWords {
		switch {
		case len(run) > 1:
			b.words = append(b.words, run)
		case len(run) == 1 && !o.ends(run[0]): // generate lets captions end
			b.always = append(b.always, run[0])
		}
	}
	b.always = append(b.always, o.Processors.Suppress...)
	b.early = append(append(slices.Clone(b.always), o.EOS), o.Ends...)
	return b
}

func (b *bans) reset() { b.rows, b.spare = b.rows[:0], b.spare[:0] }

// first is the list of n rows that hold nothing but the prompt.
func (b *bans) first(n int) [][]int32 {
	b.reset()
	for range n {
		b.add(b.o.Prompt)
	}
	return b.rows
}

// add appends the list of a row that holds these tokens.
func (b *bans) add(tokens []int32) {
	base, chosen := b.always, len(tokens)-len(b.o.Prompt)
	if chosen < b.o.MinLen {
		base = b.early
	}
	start := len(b.spare)
	for _, run := range b.longer {
		if n := len(run) - 1; hasSuffix(tokens, run[:n]) {
			b.spare = append(b.spare, run[n])
		}
	}
	b.context = append(append(b.context[:0], b.o.BOS), tokens...)
	whole := tokens
	if b.o.EarlyStopping != "" { // generate's rules: the begin token counts
		whole = b.context
	}
	b.spare = repeats(b.spare, whole, whole, b.o.NoRepeatNGram)
	b.addProcessors(chosen)
	if len(b.spare) > start {
		b.spare = append(b.spare, base...)
		base = b.spare[start:len(b.spare):len(b.spare)]
	}
	b.rows = append(b.rows, base)
}

// addProcessors appends what Processors ban behind the context, of which chosen tokens were chosen.
func (b *bans) addProcessors(chosen int) {
	p := &b.o.Processors
	if p.EncoderNoRepeat > 0 {
		b.spare = repeats(b.spare, b.o.WhatIsRead(), b.context, p.EncoderNoRepeat)
	}
	for _, run := range b.words {
		if n := len(run) - 1; len(run) <= len(b.context) && hasSuffix(b.context, run[:n]) {
			b.spare = append(b.spare, run[n])
		}
	}
	if chosen == b.o.begin() {
		b.spare = append(b.spare, p.BeginSuppress...)
	}
}

// repeats appends to dst the tokens that would make the last n tokens a run that read already holds.
func repeats(dst, read, tokens []int32, n int) []int32 {
	if n == 0 || len(tokens) < n-1 {
		return dst
	}
	last := tokens[len(tokens)-n+1:] // the n-1 tokens that the next one would complete
	for i := 0; i+n <= len(read); i++ {
		if slices.Equal(read[i:i+n-1], last) {
			dst = append(dst, read[i+n-1])
		}
	}
	return dst
}

func hasSuffix(tokens, end []int32) bool {
	return len(tokens) >= len(end) && slices.Equal(tokens[len(tokens)-len(end):], end)
}
