// Package keywords finds the words of English captions that say what an image shows, in their dictionary form. Its
// rules are for captions: short texts in the present tense. Words of other languages pass as they are.
package keywords

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// Text is a caption with its weight among others.
type Text struct {
	Text   string
	Weight float64
}

// Word is a keyword and the share of the weight of those texts that have it, 0 to 1.
type Word struct {
	Text  string
	Share float64
}

// Rank lists the n words that most of the weight speaks for. Among equal ones, the first in the texts stands first.
func Rank(texts []Text, n int) []Word {
	var words []Word
	var sum float64
	for _, t := range texts {
		sum += t.Weight
		for _, w := range Content(t.Text) {
			i := slices.IndexFunc(words, func(x Word) bool { return x.Text == w })
			if i < 0 {
				i, words = len(words), append(words, Word{Text: w})
			}
			words[i].Share += t.Weight
		}
	}
	if sum <= 0 {
		return nil
	}
	for i := range words {
		words[i].Share = min(words[i].Share/sum, 1)
	}
	const alike = 1e-9 // what sums in another order may differ by
	slices.SortStableFunc(words, func(a, b Word) int {
		if d := b.Share - a.Share; d > alike || d < -alike {
			return cmp.Compare(d, 0)
		}
		return 0
	})
	return words[:min(n, len(words))]
}

// Content lists the words of a text that are no stop words, each once, in dictionary form and in lower case.
func Content(text string) (words []string) {
	for _, w := range split(strings.ToLower(text)) {
		if stops[w] || !strings.ContainsFunc(w, unicode.IsLetter) {
			continue
		}
		lemma := Lemma(w)
		if len([]rune(lemma)) > 1 && !stops[lemma] && !slices.Contains(words, lemma) {
			words = append(words, lemma)
		}
	}
	return words
}

// split cuts a text into words. Hyphens within a word stay; what follows an apostrophe goes.
func split(text string) (words []string) {
	text = strings.ReplaceAll(text, "’", "'")
	for _, w := range strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) && r != '-' && r != '\''
	}) {
		w, _, _ = strings.Cut(strings.Trim(w, "-'"), "'")
		if w != "" {
			words = append(words, w)
		}
	}
	return words
}

// stops are words that say nothing of an image by themselves: grammar, and what captions say of pictures and places in
// them.
var stops = set(`a about above across after against all along also am among an and another any are around as at away
be because been before behind being below beneath beside between beyond both but by can close could couple did do does
doing down during each either else every few for from front full get gets getting go goes going group had has have
having he her here hers herself him himself his how i if in inside into is it its itself just large like little lot
lots made make makes making many may me middle more most much my near next no nor not of off on one ones only onto or
other others our out outside over own part past piece pair per photo photograph picture image several shows showing
shown she side small so some someone something such take takes taken taking than that the their them themselves then
there these they thing things this those through to together too top toward towards two three four five six seven
eight nine ten under underneath until up upon us use using used various very was way we were what when where which
while who whose will with within without would you your various appears seen seem seems kind type view close-up`)

func set(s string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}
