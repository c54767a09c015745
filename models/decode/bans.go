package decode

import "slices"

// bans makes the lists of tokens that must not come next, one a row.
type bans struct {
	o      *Options
	always []int32   // banned runs of one token
	early  []int32   // these and the end tokens, below MinLen
	longer [][]int32 // banned runs of several tokens
	rows   [][]int32
	spare  []int32 // where the rows' own lists lie, one after the other
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
	base := b.always
	if len(tokens)-len(b.o.Prompt) < b.o.MinLen {
		base = b.early
	}
	start := len(b.spare)
	b.spare = repeats(b.spare, tokens, b.o.NoRepeatNGram)
	for _, run := range b.longer {
		if n := len(run) - 1; hasSuffix(tokens, run[:n]) {
			b.spare = append(b.spare, run[n])
		}
	}
	if len(b.spare) > start {
		b.spare = append(b.spare, base...)
		base = b.spare[start:len(b.spare):len(b.spare)]
	}
	b.rows = append(b.rows, base)
}

// repeats appends to dst the tokens that would make the last n tokens a run that tokens already hold.
func repeats(dst, tokens []int32, n int) []int32 {
	if n == 0 || len(tokens) < n {
		return dst
	}
	last := tokens[len(tokens)-n+1:] // the n-1 tokens that the next one would complete
	for i := 0; i+n <= len(tokens); i++ {
		if slices.Equal(tokens[i:i+n-1], last) {
			dst = append(dst, tokens[i+n-1])
		}
	}
	return dst
}

func hasSuffix(tokens, end []int32) bool {
	return len(tokens) >= len(end) && slices.Equal(tokens[len(tokens)-len(end):], end)
}
