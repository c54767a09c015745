package metrics

import "math/bits"

// maxN is the longest n-gram that BLEU and CIDEr count.
const maxN = 4

// An ngramTable numbers n-grams: the n-gram of a prefix and one more word has the key (number of the prefix, word).
// Numbers are dense from 0, so that counts live in slices. Not safe for concurrent writing.
type ngramTable struct {
	keys  []uint64 // key+1, or 0 for a free place; the length is a power of two
	vals  []int32
	shift uint
	order []uint8 // n-1 of each number
}

func newNgramTable() *ngramTable {
	const size = 1 << 12
	return &ngramTable{keys: make([]uint64, size), vals: make([]int32, size), shift: 64 - 12}
}

// place returns where key is or belongs. The constant is 2^64 over the golden ratio.
func (t *ngramTable) place(key uint64) uint64 {
	mask := uint64(len(t.keys) - 1)
	h := key * 0x9E3779B97F4A7C15
	i := bits.RotateLeft64(h, 32) ^ h
	for i >>= t.shift; t.keys[i] != 0 && t.keys[i] != key+1; {
		i = (i + 1) & mask
	}
	return i
}

// ngramKey packs a prefix (-1 for none) and a word. Words are not negative.
func ngramKey(prefix, word int32) uint64 { return uint64(uint32(prefix+1))<<32 | uint64(uint32(word)) }

// number returns the n-gram's number, new if it was not seen before.
func (t *ngramTable) number(prefix, word int32, n int) int32 {
	key := ngramKey(prefix, word)
	i := t.place(key)
	if t.keys[i] != 0 {
		return t.vals[i]
	}
	id := int32(len(t.order))
	t.keys[i], t.vals[i] = key+1, id
	t.order = append(t.order, uint8(n))
	if 2*len(t.order) > len(t.keys) {
		t.grow()
	}
	return id
}

// find returns the n-gram's number, or -1 if it was never numbered.
func (t *ngramTable) find(prefix, word int32) int32 {
	if i := t.place(ngramKey(prefix, word)); t.keys[i] != 0 {
		return t.vals[i]
	}
	return -1
}

func (t *ngramTable) grow() {
	keys, vals := t.keys, t.vals
	t.keys, t.vals = make([]uint64, 2*len(keys)), make([]int32, 2*len(keys))
	t.shift--
	for i, k := range keys {
		if k != 0 {
			j := t.place(k - 1)
			t.keys[j], t.vals[j] = k, vals[i]
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
