package tokenizer

import (
	"fmt"
	"iter"
)

// Trim returns a tokenizer with a smaller vocabulary, and for each of its ids the id that the token had before, in
// ascending order: the rows of an embedding to take along.
//
// It has the tokens of keep, the 256 byte tokens and <|endoftext|>, and also the tokens that a kept one is merged
// from on the way, for a BPE reaches a token only by these steps. A merge stays where both parts and its result do.
// From this follows: any text still encodes, and decodes to itself; and a text whose tokens are all kept has the same
// tokens as before (the steps that led to them are all still there, no new ones have come, and their order is the
// same). Keep need not be sorted. An id that does not exist is an error.
func (t *Tokenizer) Trim(keep []int32) (*Tokenizer, []int32, error) {
	m := t.model
	kept := make([]bool, len(m.tokens))
	for _, id := range m.byteID {
		kept[id] = true
	}
	kept[t.bos], kept[t.eos] = true, true
	for _, id := range keep {
		if id < 0 || int(id) >= len(kept) {
			return nil, nil, fmt.Errorf("trim tokenizer: keep id %d, want 0 to %d", id, len(kept)-1)
		}
		if !kept[id] {
			kept[id] = true
			if _, added := t.added.byID[id]; !added {
				m.steps(id, kept)
			}
		}
	}
	return slice(t, kept)
}

// steps marks what the token is merged from. A token that is not reached by merging has no steps.
func (m *model) steps(id int32, kept []bool) {
	var ids, passed []int32
	for _, b := range appendBytes(nil, m.tokens[id]) {
		ids = append(ids, m.byteID[b])
	}
	if n := m.merge(ids, func(p merge) { passed = append(passed, p.result) }); n != 1 || ids[0] != id {
		return
	}
	for _, p := range passed {
		kept[p] = true
	}
}

// slice makes the tokenizer of the kept tokens of t.
func slice(t *Tokenizer, kept []bool) (*Tokenizer, []int32, error) {
	old := t.model
	var oldIDs []int32
	var tokens []string
	inside := 0
	for id, token := range old.tokens {
		if kept[id] {
			oldIDs = append(oldIDs, int32(id))
			tokens = append(tokens, token)
			if id < old.inside {
				inside++
			}
		}
	}
	var pairs [][2]string
	for _, p := range old.merges {
		if kept[p.left] && kept[p.right] && kept[p.result] {
			pairs = append(pairs, [2]string{old.tokens[p.left], old.tokens[p.right]})
		}
	}
	m, err := newModel(tokens, inside, pairs)
	if err != nil {
		return nil, nil, err
	}
	var added []AddedToken
	for _, a := range t.added.list {
		if kept[a.ID] {
			added = append(added, a)
		}
	}
	trimmed, err := newTokenizer(m, added, ends{old.tokens[t.bos], old.tokens[t.eos]}, t.opts)
	return trimmed, oldIDs, err
}

// Count returns how often each id is used in the texts, by id.
func (t *Tokenizer) Count(texts iter.Seq[string]) []int64 {
	uses := make([]int64, t.VocabSize())
	var ids []int32
	for text := range texts {
		ids = t.Append(ids[:0], text)
		for _, id := range ids {
			uses[id]++
		}
	}
	return uses
}

// AtLeast returns the ids that are used n times or more, ascending: what to keep in [Tokenizer.Trim].
func AtLeast(uses []int64, n int64) []int32 {
	var ids []int32
	for id, used := range uses {
		if used >= n {
			ids = append(ids, int32(id))
		}
	}
	return ids
}
