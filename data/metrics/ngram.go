package metrics

import "math/bits"

// maxN is the longest n-gram that BLEU and CIDEr count.
const maxN = 4

// An ngramTable numbers n-grams: the n-gram of a prefix and one more word has the key (number of the prefix, word).
// Numbers are dense from 0, so that counts live in slices. Not safe for concurrent writing.
type ngramTable struct {
	places []place // open addressing; the length is a power of two
	shift  uint    // 64 minus that power
	order  []uint8 // n-1 of each number
}

// A place holds key+1, or 0 while it is free, beside the number, so that finding one touches one line of the cache.
type place struct {
	key    uint64
	number int32
}

func newNgramTable() *ngramTable {
	const power = 12
	return &ngramTable{places: make([]place, 1<<power), shift: 64 - power}
}

// place returns where key is or belongs. The constant is 2^64 over the golden ratio.
func (t *ngramTable) place(key uint64) *place {
	h := key * 0x9E3779B97F4A7C15
	h ^= bits.RotateLeft64(h, 32)
	mask := uint64(len(t.places) - 1)
	for i := h >> t.shift; ; i = (i + 1) & mask {
		if p := &t.places[i&mask]; p.key == 0 || p.key == key+1 {
			return p
		}
	}
}

// ngramKey packs a prefix (-1 for none) and a word. Words are not negative.
func ngramKey(prefix, word int32) uint64 { return uint64(uint32(prefix+1))<<32 | uint64(uint32(word)) }

// number returns the n-gram's number, new if it was not seen before.
func (t *ngramTable) number(prefix, word int32, n int) int32 {
	key := ngramKey(prefix, word)
	p := t.place(key)
	if p.key != 0 {
		return p.number
	}
	id := int32(len(t.order))
	*p = place{key + 1, id}
	t.order = append(t.order, uint8(n))
	if 2*len(t.order) > len(t.places) {
		t.grow()
	}
	return id
}

// find returns the n-gram's number, or -1 if it was never numbered.
func (t *ngramTable) find(prefix, word int32) int32 {
	if p := t.place(ngramKey(prefix, word)); p.key != 0 {
		return p.number
	}
	return -1
}

func (t *ngramTable) grow() {
	old := t.places
	t.places = make([]place, 2*len(old))
	t.shift--
	for _, p := range old {
		if p.key != 0 {
			*t.place(p.key - 1) = p
		}
	}
}

// grams appends the numbers of all n-grams of the words, n from 1 to maxN.
func (t *ngramTable) grams(dst, words []int32) []int32 {
	for i := range words {
		prefix := int32(-1)
		for n := 0; n < maxN && i+n < len(words); n++ {
			prefix = t.number(prefix, words[i+n], n)
			dst = append(dst, prefix)
		}
	}
	return dst
}

// A tally counts numbers without clearing all of its memory between uses.
type tally struct {
	count []int32
	used  []int32 // numbers with a count, in the order first seen
}

func (t *tally) add(id int32) {
	if t.count[id] == 0 {
		t.used = append(t.used, id)
	}
	t.count[id]++
}

func (t *tally) clear() {
	for _, id := range t.used {
		t.count[id] = 0
	}
	t.used = t.used[:0]
}
