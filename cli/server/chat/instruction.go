package chat

import (
	"slices"
	"strings"
	"unicode"

	"captioner/models/decode"
)

// style is a kind of caption that words ask for.
type style struct {
	kind  string   // of styles of one kind, the first that is asked for holds: long and short at once is neither
	words []string // any of them asks for it
	apply func(*decode.Request)
}

// detailLen is the fewest tokens of a caption in detail. Where the model has less to say, more of them repeat it.
const detailLen = 12

// styles are what an instruction may ask for.
var styles = []style{
	{
		kind: "length",
		words: []string{"detail", "details", "detailed", "detailing", "long", "longer", "thorough", "thoroughly",
			"comprehensive", "elaborate", "verbose", "rich"},
		apply: func(r *decode.Request) { r.MinLen, r.LengthPenalty = new(detailLen), new(1.5) },
	},
	{
		kind:  "length",
		words: []string{"short", "shorter", "shortly", "brief", "briefly", "concise", "concisely", "succinct", "terse"},
		apply: func(r *decode.Request) { r.LengthPenalty = new(0.) },
	},
	{
		kind:  "alt",
		words: []string{"alt", "alttext", "accessibility", "accessible", "screen", "reader", "readers"},
		apply: func(r *decode.Request) {
			r.Ban = []string{"picture of", "image of", "photo of", "photograph of"} // a screen reader says so itself
		},
	},
}

// plain are the words of a request for a caption, and the small words around them: one sentence that describes an image
// is what every caption is.
var plain = strings.Fields(`
	a an the this that these those it its of in on at to for from with by as is are be can could would will do does did
	and or but so if then than i me my we us our you your he she they one 1 single exactly just only please kindly
	what whats which who where how there begin start begins starts
	caption captions captioning describe describes described describing description descriptions write give generate
	create provide tell show shows say says produce output make return answer respond see look
	shown visible depicted happening going
	image images picture pictures photo photos photograph photographs attached following above below here there
	sentence sentences phrase line text main visual content contents subject scene english using use
	hi hello thanks thank help sure ok
	assistant captioner ai
`)

// Read turns an instruction into decoding options. It also gives the words of it that are not followed, in their order,
// those that stand together as one phrase.
func Read(text string) (decode.Request, []string) {
	var r decode.Request
	var ignored, run []string
	done := make(map[string]bool) // by kind of style
	flush := func() {
		if phrase := strings.Join(run, " "); phrase != "" && !slices.Contains(ignored, phrase) {
			ignored = append(ignored, phrase)
		}
		run = nil
	}
	for _, word := range words(text[:min(len(text), maxText)]) {
		i := slices.IndexFunc(styles, func(s style) bool { return slices.Contains(s.words, word) })
		switch {
		case i >= 0 && !done[styles[i].kind]:
			styles[i].apply(&r)
			done[styles[i].kind] = true
			flush()
		case i >= 0, word == "", slices.Contains(plain, word):
			flush()
		default:
			run = append(run, word)
		}
	}
	flush()
	return r, clip(ignored)
}

// words splits a text into words in small letters; "" stands for each mark that ends a phrase.
func words(text string) (all []string) {
	for _, field := range strings.Fields(strings.ToLower(text)) {
		end := strings.HasSuffix(strings.TrimRight(field, `"')]}`), ".") || strings.ContainsAny(field, ",;:!?")
		word := strings.TrimFunc(field, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		word = strings.ReplaceAll(strings.ReplaceAll(word, "'", ""), "’", "")
		for part := range strings.SplitSeq(word, "-") {
			all = append(all, part)
		}
		if end {
			all = append(all, "")
		}
	}
	return all
}

// Bounds of what is given back of an instruction.
const (
	maxText    = 16 << 10 // bytes; what stands behind them is not read
	maxIgnored = 20
	maxPhrase  = 80
)

// clip bounds what is given back: a client may send a book.
func clip(phrases []string) []string {
	phrases = phrases[:min(len(phrases), maxIgnored)]
	for i, p := range phrases {
		if r := []rune(p); len(r) > maxPhrase {
			phrases[i] = string(r[:maxPhrase]) + "…"
		}
	}
	return phrases
}
