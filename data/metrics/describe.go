package metrics

import (
	"math"
	"strings"
)

// Description says what a set of captions is like, without references. Shares are from 0 to 1.
type Description struct {
	Captions   int
	Words      int           // in all captions
	Vocabulary int           // different words
	MeanLength float64       // words a caption
	Distinct   [maxN]float64 // distinct-n: different n-grams over all n-grams, n from 1
	Unique     float64       // different captions over all captions
	Repetitive float64       // share of captions that have a trigram twice
	Dangling   float64       // share of captions that end in a word that wants another one after it
	Novel      float64       // share of captions that no training caption equals, word for word; NaN if none were given
}

// danglers are words that seldom end a finished caption.
var danglers = setOf(`
			a an the this that these those his her its their my your our some any each every no of in on at to from with
			without by for into onto over under near behind beside between against across along around through during toward
			towards like as than and or but nor while who which whose where when because if is are was were be being am has
			have had can could will would may might must should very more most next front`)

func setOf(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// Describe describes captions. training holds the captions that the model has learned from, or nothing.
func Describe(captions, training []string) Description {
	tokens := TokenizeAll(captions)
	d := Description{Captions: len(captions), Novel: math.NaN()}
	table := newNgramTable()
	words := map[string]int32{}
	var total [maxN]int
	different := map[string]bool{}
	var grams []int32
	for _, s := range numberSentences(words, tokens) {
		d.Words += len(s.words)
		for n := range total {
			total[n] += max(0, len(s.words)-n)
		}
		grams = table.grams(grams[:0], s.words)
		if repeatsTrigram(grams, table.order) {
			d.Repetitive++
		}
	}
	for _, n := range table.order {
		d.Distinct[n]++
	}
	d.Vocabulary = int(d.Distinct[0])
	for n := range d.Distinct {
		d.Distinct[n] = share(d.Distinct[n], total[n])
	}
	for _, t := range tokens {
		if len(t) > 0 && danglers[t[len(t)-1]] {
			d.Dangling++
		}
		different[strings.Join(t, " ")] = true
	}
	n := len(captions)
	d.MeanLength = share(float64(d.Words), n)
	d.Unique, d.Repetitive, d.Dangling = share(float64(len(different)), n), share(d.Repetitive, n), share(d.Dangling, n)
	if len(training) > 0 {
		d.Novel = novel(tokens, training)
	}
	return d
}

func share(part float64, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return part / float64(whole)
}

// repeatsTrigram reports whether a trigram stands twice among the n-grams of one caption.
func repeatsTrigram(grams []int32, order []uint8) bool {
	seen := map[int32]bool{}
	for _, id := range grams {
		if order[id] != 2 {
			continue
		}
		if seen[id] {
			return true
		}
		seen[id] = true
	}
	return false
}

// novel returns the share of captions that are not in the training set.
func novel(tokens [][]string, training []string) float64 {
	known := make(map[string]bool, len(training))
	for _, t := range TokenizeAll(training) {
		known[strings.Join(t, " ")] = true
	}
	n := 0
	for _, t := range tokens {
		if !known[strings.Join(t, " ")] {
			n++
		}
	}
	return share(float64(n), len(tokens))
}
