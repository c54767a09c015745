package metrics

import "slices"

// A match pairs a run of reference words with a run of caption words.
type match struct {
	start, length       int32 // in the reference
	hypStart, hypLength int32
	kind                int32
}

// A path is an alignment that is decided up to some word of the reference.
type path struct {
	chosen           []int32 // for each reference word the index of the match that starts there, or -1
	hypUsed, refUsed []bool
	// What paths are compared by: weighted matched words of both sides, cut to whole numbers at each addition as
	// METEOR does, then fewer runs, then less displacement.
	hypMatches, refMatches int
	chunks, distance       int
	index                  int32 // first reference word behind the last match
	lastEnd                int32 // caption word behind the last match, or -1 after a gap
}

// An aligner finds the best alignment by METEOR's beam search. It keeps its memory between calls.
type aligner struct {
	para               *paraphrases
	has                []uint64 // a bit for each word of the line that phrases are looked for in
	matches            []match
	byStart            [][]int32 // matches by the reference word they start at, in the order found
	hypCover, refCover []int32
	spare              []*path
	paths, next        []*path
}

// align returns the counts of the best alignment of caption and reference.
func (a *aligner) align(hyp, ref *meteorLine) MeteorStats {
	a.find(hyp, ref)
	best := a.resolve(a.certain(len(hyp.words), len(ref.words)))
	s := a.count(best, hyp, ref)
	a.spare = append(a.spare, best)
	return s
}

func (a *aligner) add(m match) {
	a.byStart[m.start] = append(a.byStart[m.start], int32(len(a.matches)))
	a.matches = append(a.matches, m)
	for i := range m.hypLength {
		a.hypCover[m.hypStart+i]++
	}
	for i := range m.length {
		a.refCover[m.start+i]++
	}
}

// find collects all possible matches, kind after kind.
func (a *aligner) find(hyp, ref *meteorLine) {
	a.matches = a.matches[:0]
	for len(a.byStart) < len(ref.words) {
		a.byStart = append(a.byStart, nil)
	}
	for i := range ref.words {
		a.byStart[i] = a.byStart[i][:0]
	}
	a.hypCover = append(a.hypCover[:0], make([]int32, len(hyp.words))...)
	a.refCover = append(a.refCover[:0], make([]int32, len(ref.words))...)
	a.pairs(hyp, ref, kindExact, func(h, r *meteorWord) bool { return h.hash == r.hash })
	// Equal sentences need no more, and so no search.
	if slices.EqualFunc(hyp.words, ref.words, func(h, r *meteorWord) bool { return h.hash == r.hash }) {
		return
	}
	a.pairs(hyp, ref, kindStem, func(h, r *meteorWord) bool { return h.stemHash == r.stemHash && h.hash != r.hash })
	a.pairs(hyp, ref, kindSynonym, func(h, r *meteorWord) bool {
		return h.hash != r.hash &&
			sharesOne(h.synsets, r.synsets)
	})
	a.phrases(ref, hyp, func(from, to span) match {
		return match{from.start, from.length, to.start, to.length, kindParaphrase}
	})
	a.phrases(hyp, ref, func(from, to span) match {
		return match{to.start, to.length, from.start, from.length, kindParaphrase}
	})
}

// pairs adds the matches of single words.
func (a *aligner) pairs(hyp, ref *meteorLine, kind int32, equal func(h, r *meteorWord) bool) {
	for j, r := range ref.words {
		for i, h := range hyp.words {
			if equal(h, r) {
				a.add(match{int32(j), 1, int32(i), 1, kind})
			}
		}
	}
}

// phrases adds a match for each phrase of x that can be said as a phrase of y.
func (a *aligner) phrases(x, y *meteorLine, make func(from, to span) match) {
	p := a.para
	for _, w := range y.words {
		if w.para >= 0 {
			a.has[w.para>>6] |= 1 << (w.para & 63)
		}
	}
	for _, from := range x.spans {
		for _, other := range p.others[p.from[from.node]:p.from[from.node+1]] {
			text := p.text[p.start[other]:p.start[other+1]]
			if a.has[text[0]>>6]&(1<<(text[0]&63)) == 0 {
				continue
			}
			for i := 0; i+len(text) <= len(y.words); i++ {
				if startsWith(y.words[i:], text) {
					a.add(make(from, span{-1, int32(i), int32(len(text))}))
				}
			}
		}
	}
	for _, w := range y.words {
		if w.para >= 0 {
			a.has[w.para>>6] = 0
		}
	}
}

// startsWith reports whether the words begin with a phrase of the paraphrases.
func startsWith(words []*meteorWord, phrase []int32) bool {
	for i, w := range phrase {
		if words[i].para != w {
			return false
		}
	}
	return true
}

// certain returns the path of the matches that overlap no other.
func (a *aligner) certain(hyps, refs int) *path {
	p := a.path(hyps, refs)
	for i := range refs {
		if len(a.byStart[i]) != 1 {
			continue
		}
		m := &a.matches[a.byStart[i][0]]
		alone := true
		for j := range m.length {
			alone = alone && a.refCover[m.start+j] == 1
		}
		for j := range m.hypLength {
			alone = alone && a.hypCover[m.hypStart+j] == 1
		}
		if alone {
			p.use(m)
			p.chosen[i] = a.byStart[i][0]
		}
	}
	return p
}

// resolve extends the path word by word of the reference, keeping the best few.
func (a *aligner) resolve(start *path) *path {
	words := int32(len(start.chosen))
	a.next = append(a.next[:0], start)
	for at := int32(0); at <= words; at++ {
		a.paths, a.next = a.next, a.paths[:0]
		slices.SortStableFunc(a.paths, comparePaths)
		for rank, p := range a.paths {
			switch {
			case rank >= meteorBeam:
				a.spare = append(a.spare, p)
			case at == words:
				if p.lastEnd != -1 {
					p.chunks++
				}
				a.next = append(a.next, p)
			case !p.refUsed[at]:
				a.branch(p, at)
			case at < p.index: // inside a match
				a.next = append(a.next, p)
			case p.chosen[p.index] >= 0: // a certain match
				m := &a.matches[p.chosen[p.index]]
				p.count(m)
				p.distance += distance(m)
				a.next = append(a.next, p)
			default:
				a.spare = append(a.spare, p)
			}
		}
		if len(a.next) == 0 {
			a.next = append(a.next, a.paths[0])
		}
	}
	slices.SortStableFunc(a.next, comparePaths)
	a.spare = append(a.spare, a.next[1:]...)
	return a.next[0]
}

// branch tries each match that starts at the word, and none.
func (a *aligner) branch(p *path, at int32) {
	for _, id := range a.byStart[at] {
		m := &a.matches[id]
		if !p.free(m) {
			continue
		}
		q := a.copy(p)
		q.use(m)
		q.chosen[at] = id
		q.count(m)
		a.next = append(a.next, q)
		// METEOR adds the displacement to the path that goes on without the match.
		p.distance += distance(m)
	}
	if p.lastEnd != -1 {
		p.chunks++
		p.lastEnd = -1
	}
	p.index++
	a.next = append(a.next, p)
}

func comparePaths(x, y *path) int {
	if d := (y.hypMatches + y.refMatches) - (x.hypMatches + x.refMatches); d != 0 {
		return d
	}
	if d := x.chunks - y.chunks; d != 0 {
		return d
	}
	return x.distance - y.distance
}

func distance(m *match) int {
	if m.start > m.hypStart {
		return int(m.start - m.hypStart)
	}
	return int(m.hypStart - m.start)
}

// path returns an empty path.
func (a *aligner) path(hyps, refs int) *path {
	p := a.blank()
	p.chosen = append(p.chosen[:0], make([]int32, refs)...)
	for i := range p.chosen {
		p.chosen[i] = -1
	}
	p.hypUsed = append(p.hypUsed[:0], make([]bool, hyps)...)
	p.refUsed = append(p.refUsed[:0], make([]bool, refs)...)
	p.hypMatches, p.refMatches, p.chunks, p.distance, p.index, p.lastEnd = 0, 0, 0, 0, 0, -1
	return p
}

func (a *aligner) copy(p *path) *path {
	q := a.blank()
	chosen, hyp, ref := append(q.chosen[:0], p.chosen...), append(q.hypUsed[:0], p.hypUsed...), append(q.refUsed[:0],
		p.refUsed...)
	*q = *p
	q.chosen, q.hypUsed, q.refUsed = chosen, hyp, ref
	return q
}

// blank returns a path from the spare ones, contents undefined.
func (a *aligner) blank() *path {
	if n := len(a.spare); n > 0 {
		p := a.spare[n-1]
		a.spare = a.spare[:n-1]
		return p
	}
	return &path{}
}

func (p *path) free(m *match) bool {
	return !slices.Contains(p.refUsed[m.start:m.start+m.length], true) &&
		!slices.Contains(p.hypUsed[m.hypStart:m.hypStart+m.hypLength], true)
}

func (p *path) use(m *match) {
	for i := range m.length {
		p.refUsed[m.start+i] = true
	}
	for i := range m.hypLength {
		p.hypUsed[m.hypStart+i] = true
	}
}

// count adds a match behind the path's last one.
func (p *path) count(m *match) {
	w := searchWeights[m.kind]
	p.hypMatches = int(float64(p.hypMatches) + float64(m.hypLength)*w)
	p.refMatches = int(float64(p.refMatches) + float64(m.length)*w)
	if p.lastEnd != -1 && m.hypStart != p.lastEnd {
		p.chunks++
	}
	p.index = m.start + m.length
	p.lastEnd = m.hypStart + m.hypLength
}

// count sums up an alignment.
func (a *aligner) count(best *path, hyp, ref *meteorLine) MeteorStats {
	var s MeteorStats
	for side, line := range []*meteorLine{hyp, ref} {
		s.Length[side] = float64(len(line.words))
		for _, w := range line.words {
			if w.function {
				s.Function[side]++
			}
		}
	}
	end := int32(-1)
	for i := int32(0); int(i) < len(best.chosen); {
		if best.chosen[i] < 0 {
			if end != -1 {
				s.Chunks++
				end = -1
			}
			i++
			continue
		}
		m := &a.matches[best.chosen[i]]
		s.tally(0, m.kind, hyp.words[m.hypStart:m.hypStart+m.hypLength])
		s.tally(1, m.kind, ref.words[m.start:m.start+m.length])
		if end != -1 && m.hypStart != end {
			s.Chunks++
		}
		i, end = m.start+m.length, m.hypStart+m.hypLength
	}
	if end != -1 {
		s.Chunks++
	}
	return s
}

func (s *MeteorStats) tally(side int, kind int32, words []*meteorWord) {
	for _, w := range words {
		if w.function {
			s.FunctionMatches[side][kind]++
		} else {
			s.Content[side][kind]++
		}
	}
}
