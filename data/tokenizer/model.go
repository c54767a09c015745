package tokenizer

import (
	"fmt"
	"math"
	"strings"
	"sync"
)

const (
	scanLimit  = 64      // longer words are merged with a heap
	cacheWord  = 48      // bytes: longer words are seldom seen twice
	cacheWords = 1 << 16 // a cache holds at most this many words
)

// A model is the byte-pair encoding itself: words in, ids out. Only its cache changes once it is made.
type model struct {
	tokens []string         // by id, as the vocabulary spells them
	ids    map[string]int32 // the way back
	inside int              // tokens below this id are in the BPE vocabulary, the others were added to it
	merges []merge          // by rank
	pairs  map[uint64]join  // by the two parts
	byteID [256]int32

	mu    sync.RWMutex
	cache map[string][]int32
}

// A merge joins the tokens left and right into a third.
type merge struct{ left, right, result int32 }

type join struct{ rank, result int32 }

const noRank = math.MaxInt32

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// newModel makes a model of tokens by id, of which those from inside on are no parts or results of merges, and of
// merges by rank. The slice becomes the model's.
func newModel(tokens []string, inside int, pairs [][2]string) (*model, error) {
	m := &model{tokens: tokens, inside: inside, ids: make(map[string]int32, len(tokens)), cache: map[string][]int32{}}
	for id, token := range tokens {
		if old, twice := m.ids[token]; twice {
			return nil, FormatError(fmt.Sprintf("token %q has two ids, %d and %d", token, old, id))
		}
		m.ids[token] = int32(id)
	}
	for b := range m.byteID {
		id, ok := m.ids[byteToken[b]]
		if !ok || int(id) >= inside {
			const message = "no token %q for the byte 0x%02x, want one for each of the 256 bytes"
			return nil, FormatError(fmt.Sprintf(message, byteToken[b], b))
		}
		m.byteID[b] = id
	}
	m.merges = make([]merge, 0, len(pairs))
	var joined []byte
	for rank, p := range pairs {
		left, okLeft := m.ids[p[0]]
		right, okRight := m.ids[p[1]]
		joined = append(append(joined[:0], p[0]...), p[1]...)
		result, okResult := m.ids[string(joined)]
		if !okLeft || !okRight || !okResult || int(max(left, right, result)) >= inside {
			const message = "merge %d, %q and %q: both parts and %q must be in the vocabulary"
			return nil, FormatError(fmt.Sprintf(message, rank, p[0], p[1], joined))
		}
		m.merges = append(m.merges, merge{left, right, result})
	}
	m.index()
	return m, nil
}

func (m *model) index() {
	m.pairs = make(map[uint64]join, len(m.merges))
	for rank, p := range m.merges {
		// Of two equal merges the later counts, as in the reference.
		m.pairs[pairKey(p.left, p.right)] = join{int32(rank), p.result}
	}
}

// append adds the ids of a text that is valid UTF-8.
func (m *model) append(dst []int32, text string) []int32 {
	m.mu.RLock()
	locked := true
	for text != "" {
		n := nextWord(text)
		word := text[:n]
		text = text[n:]
		if n > cacheWord {
			if locked {
				m.mu.RUnlock()
				locked = false
			}
			dst = m.appendWord(dst, word)
			continue
		}
		if !locked {
			m.mu.RLock()
			locked = true
		}
		if ids, ok := m.cache[word]; ok {
			dst = append(dst, ids...)
			continue
		}
		m.mu.RUnlock()
		locked = false
		start := len(dst)
		dst = m.appendWord(dst, word)
		m.remember(word, dst[start:])
	}
	if locked {
		m.mu.RUnlock()
	}
	return dst
}

func (m *model) remember(word string, ids []int32) {
	ids = append(make([]int32, 0, len(ids)), ids...)
	word = strings.Clone(word) // or the cache would hold on to the whole text
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.cache) >= cacheWords {
		clear(m.cache)
	}
	m.cache[word] = ids
}

// appendWord adds the ids of one word, without the cache.
func (m *model) appendWord(dst []int32, word string) []int32 {
	start := len(dst)
	for i := range len(word) {
		dst = append(dst, m.byteID[word[i]])
	}
	return dst[:start+m.merge(dst[start:], nil)]
}

// merge merges ids in place and returns how many are left: again and again the pair of the lowest rank, the leftmost
// of equals. The merges done are told to visit if that is not nil.
func (m *model) merge(ids []int32, visit func(merge)) int {
	if len(ids) > scanLimit {
		return m.mergeLong(ids, visit)
	}
	return m.mergeShort(ids, visit)
}

// mergeShort looks at every pair at each step, which is quick for short words.
func (m *model) mergeShort(ids []int32, visit func(merge)) int {
	var buf [scanLimit]int32
	ranks := buf[:0] // ranks[i] is that of the pair (i, i+1)
	for i := 1; i < len(ids); i++ {
		ranks = append(ranks, m.rank(ids[i-1], ids[i]))
	}
	for {
		best, at := int32(noRank), -1
		for i, r := range ranks {
			if r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			return len(ids)
		}
		p := m.merges[best]
		if visit != nil {
			visit(p)
		}
		ids[at] = p.result
		ids = append(ids[:at+1], ids[at+2:]...)
		ranks = append(ranks[:at], ranks[at+1:]...)
		if at > 0 {
			ranks[at-1] = m.rank(ids[at-1], ids[at])
		}
		if at < len(ranks) {
			ranks[at] = m.rank(ids[at], ids[at+1])
		}
	}
}

func (m *model) rank(left, right int32) int32 {
	if p, ok := m.pairs[pairKey(left, right)]; ok {
		return p.rank
	}
	return noRank
}
