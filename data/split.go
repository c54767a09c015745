package data

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Split parts a source in two: val gets about the given fraction of the examples, train the rest. Which one an example
// goes to depends on its ID and the seed alone, so that it stays there when others come or go or the order changes.
func Split(s Source, fraction float64, seed uint64) (train, val Source) {
	isVal := func(e Example) bool { return fractionOf(e.ID, seed) < fraction }
	isTrain := func(e Example) bool { return !isVal(e) }
	return only(s, isTrain), only(s, isVal)
}

// only keeps the examples that are wanted, and all errors.
func only(s Source, wanted func(Example) bool) Source {
	return func(yield func(Example, error) bool) {
		for e, err := range s {
			if (err != nil || wanted(e)) && !yield(e, err) {
				return
			}
		}
	}
}

// fractionOf spreads ids evenly over 0 to 1.
func fractionOf(id string, seed uint64) float64 {
	sum := sha256.Sum256(append(binary.LittleEndian.AppendUint64(nil, seed), id...))
	return float64(binary.LittleEndian.Uint64(sum[:])>>11) / math.Exp2(53)
}
