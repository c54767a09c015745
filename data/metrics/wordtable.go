package metrics

import "hash/maphash"

// A wordTable numbers words from 0. It keeps them in one piece of memory and their hashes beside their numbers, which
// is what makes reading millions of known words fast.
type wordTable struct {
	seed   maphash.Seed
	places []wordPlace // open addressing; the length is a power of two
	text   []byte
	ends   []uint32 // word i is text[ends[i]:ends[i+1]]
}

// A wordPlace is free while number is 0; else it holds the number plus one.
type wordPlace struct{ hash, number uint32 }

func newWordTable() *wordTable {
	return &wordTable{seed: maphash.MakeSeed(), places: make([]wordPlace, 1<<12), ends: []uint32{0}}
}

func (t *wordTable) len() int { return len(t.ends) - 1 }

// place returns where the word is or belongs, and the place's hash for it.
func (t *wordTable) place(word []byte) (*wordPlace, uint32) {
	h := maphash.Bytes(t.seed, word)
	mask := uint64(len(t.places) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		p := &t.places[i]
		if p.number == 0 || p.hash == uint32(h>>32) && string(t.text[t.ends[p.number-1]:t.ends[p.number]]) == string(word) {
			return p, uint32(h >> 32)
		}
	}
}

// number returns the word's number, new if it was not seen before.
func (t *wordTable) number(word []byte) int32 {
	p, hash := t.place(word)
	if p.number != 0 {
		return int32(p.number - 1)
	}
	t.text = append(t.text, word...)
	t.ends = append(t.ends, uint32(len(t.text)))
	*p = wordPlace{hash, uint32(t.len())}
	if 3*t.len() > len(t.places) {
		t.grow()
	}
	return int32(t.len() - 1)
}

// find returns the word's number, or -1.
func (t *wordTable) find(word string) int32 {
	p, _ := t.place([]byte(word))
	return int32(p.number) - 1
}

func (t *wordTable) grow() {
	t.places = make([]wordPlace, 2*len(t.places))
	for i := range t.len() {
		p, hash := t.place(t.text[t.ends[i]:t.ends[i+1]])
		*p = wordPlace{hash, uint32(i + 1)}
	}
}
