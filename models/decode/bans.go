package decode

// bans makes the lists of tokens that must not come next, one a row.
type bans struct {
	o      *Options
	always []int32 // o.Ban
	early  []int32 // o.Ban and the end token, below MinLen
	rows   [][]int32
	spare  []int32 // where the rows' own lists lie, one after the other
}

func newBans(o *Options) *bans {
	b := &bans{o: o, always: o.Ban[:len(o.Ban):len(o.Ban)]}
	b.early = append(b.always, o.EOS)
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
		if equal(tokens[i:i+n-1], last) {
			dst = append(dst, tokens[i+n-1])
		}
	}
	return dst
}

func equal(a, b []int32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
