package decode

import "slices"

// forced is a beam whose captions must have some words. Beside the best continuations of each live hypothesis it looks
// at those that begin or go on with a missing word, and shares the beam out among hypotheses that have more and fewer
// of the words, so that none of these groups is crowded out (Post and Vilar, https://arxiv.org/abs/1804.06609). An end
// token counts only where no word is missing; among captions that MaxLen cuts, those with more of the words stand
// first.
type forced struct {
	*beam
	tokens []int32 // of all runs, ascending: the order of view.extra
	bans   *bans
	banks  [][]continuation // by how much of the words they have
	chosen []int32
	wanted []int32
}

func newForced(o *Options) *forced {
	return &forced{beam: newBeam(o, o.Beam), tokens: forcedTokens(o.Force), bans: newBans(o)}
}

// forcedTokens are the tokens of all runs, ascending, each once.
func forcedTokens(words [][][]int32) []int32 {
	all := slices.Concat(slices.Concat(words...)...)
	slices.Sort(all)
	return slices.Compact(all)
}

func (f *forced) advance(c view) bool {
	f.rank(c, nil)
	for i := range f.live {
		f.extend(c, int32(i))
	}
	slices.SortFunc(f.ranks, byRank)
	f.share()
	return f.take()
}

// extend adds the continuations of a live hypothesis that bring a missing word nearer.
func (f *forced) extend(c view, from int32) {
	h := f.live[from]
	f.wanted = f.wanted[:0]
	f.missing(h.tokens)
	f.bans.reset()
	f.bans.add(h.tokens)
	best := c.ids[int(h.row)*c.k : int(h.row+1)*c.k]
	slices.Sort(f.wanted)
	for _, id := range slices.Compact(f.wanted) {
		if slices.Contains(best, id) || slices.Contains(f.bans.rows[0], id) {
			continue
		}
		at, _ := slices.BinarySearch(f.tokens, id)
		sum := h.log + float64(c.extra[int(h.row)*len(f.tokens)+at])
		f.ranks = append(f.ranks, continuation{log: sum, sum: sum, id: id, from: from})
	}
}

// missing says how many tokens of the words a caption has, and whether it has them all; it puts the tokens that would
// add to that in f.wanted.
func (f *forced) missing(tokens []int32) (have int, all bool) {
	all = true
	for _, runs := range f.o.Force {
		longest, begun, met := 0, 0, false
		for _, run := range runs {
			longest = max(longest, len(run))
			met = met || f.o.holds(tokens, run)
		}
		if met {
			have += longest
			continue
		}
		all = false
		for _, run := range runs {
			k := len(run) - 1
			for ; k > 0 && !(hasSuffix(tokens, run[:k]) && f.o.begins(run, len(tokens)-k)); k-- {
			}
			begun = max(begun, k)
			if k > 0 {
				f.wanted = append(f.wanted, run[k])
			}
			if f.o.begins(run, len(tokens)) {
				f.wanted = append(f.wanted, run[0])
			}
		}
		have += begun
	}
	return have, all
}

// share orders the continuations anew: the best of those that have most of the words, the best of those that have a
// little less, and so on, then the second best of each. An end token before its time is left out.
func (f *forced) share() {
	for i := range f.banks {
		f.banks[i] = f.banks[i][:0]
	}
	for _, r := range f.ranks {
		f.chosen = append(f.chosen[:0], f.live[r.from].tokens...)
		if !f.o.ends(r.id) {
			f.chosen = append(f.chosen, r.id)
		}
		have, all := f.missing(f.chosen)
		if f.o.ends(r.id) && !all {
			continue
		}
		for len(f.banks) <= have {
			f.banks = append(f.banks, nil)
		}
		f.banks[have] = append(f.banks[have], r)
	}
	f.ranks = f.ranks[:0]
	for place, more := 0, true; more; place++ {
		more = false
		for i := len(f.banks) - 1; i >= 0; i-- {
			if place < len(f.banks[i]) {
				f.ranks = append(f.ranks, f.banks[i][place])
				more = true
			}
		}
	}
}

// holds says whether a word that must occur does: run, with nothing before or behind it that makes it a part of another
// word.
func (o *Options) holds(tokens, run []int32) bool {
	for i := 0; i+len(run) <= len(tokens); i++ {
		end := i + len(run)
		if slices.Equal(tokens[i:end], run) && o.begins(run, i) &&
			(end == len(tokens) || o.Inside == nil || !o.Inside(tokens[end])) {
			return true
		}
	}
	return false
}

// begins says whether run may stand at a place of a caption.
func (o *Options) begins(run []int32, at int) bool {
	return at == 0 || o.Inside == nil || !o.Inside(run[0])
}

// contains says whether run occurs in tokens.
func contains(tokens, run []int32) bool {
	for i := 0; i+len(run) <= len(tokens); i++ {
		if slices.Equal(tokens[i:i+len(run)], run) {
			return true
		}
	}
	return false
}
