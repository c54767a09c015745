package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An AddedToken is matched in the text as it stands, before any splitting. The fields are those of a tokenizer.json.
type AddedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word character stands beside it
	LStrip     bool   `json:"lstrip"`      // takes the white space before it along
	RStrip     bool   `json:"rstrip"`      // and after it
	Normalized bool   `json:"normalized"`  // matched after Options.Lowercase, lowered itself
	Special    bool   `json:"special"`     // only matched by EncodeSpecial; not text
}

// addedTokens holds the added tokens and finds them.
type addedTokens struct {
	list  []AddedToken
	byID  map[int32]int // index in list
	plain bool          // some are not special, so that Encode must look for them
}

// newAddedTokens takes the ids from the vocabulary, which must have every token.
func newAddedTokens(ids map[string]int32, list []AddedToken) (*addedTokens, error) {
	a := &addedTokens{list: slices.Clone(list), byID: make(map[int32]int, len(list))}
	for i := range a.list {
		t := &a.list[i]
		id, ok := ids[t.Content]
		if !ok || t.Content == "" {
			return nil, FormatError(fmt.Sprintf("added token %q is not in the vocabulary", t.Content))
		}
		if _, twice := a.byID[id]; twice {
			return nil, FormatError(fmt.Sprintf("added token %q stands twice", t.Content))
		}
		t.ID = id
		a.byID[id] = i
		a.plain = a.plain || !t.Special
	}
	return a, nil
}

// special says whether an id is a special token.
func (a *addedTokens) special(id int32) bool {
	i, ok := a.byID[id]
	return ok && a.list[i].Special
}

// pieces cuts the added tokens out of s and calls yield with each part in order: with a token's id, or with the text
// between and -1. With lowered, the text has been lowered.
func (a *addedTokens) pieces(s string, special, lowered bool, yield func(text string, id int32)) {
	lower := func(s string) string { return s }
	if lowered {
		lower = lowercase
	}
	if !special && !a.plain {
		yield(lower(s), -1)
		return
	}
	same := func(s string) string { return s }
	a.cut(s, special, false, same, func(text string, id int32) {
		if id >= 0 {
			yield(text, id)
			return
		}
		a.cut(lower(text), special, true, lower, yield)
	})
}

// cut finds the tokens whose Normalized is as asked for: the leftmost first, the longest of those that begin together.
// A special one takes its place but stays text unless special is set, as in the reference.
func (a *addedTokens) cut(s string, special, normalized bool, lower func(string) string, yield func(string, int32)) {
	type needle struct {
		text  string
		token AddedToken
	}
	var first [256]bool
	var needles []needle
	for _, token := range a.list {
		if token.Normalized == normalized {
			n := needle{lower(token.Content), token}
			first[n.text[0]] = true
			needles = append(needles, n)
		}
	}
	slices.SortStableFunc(needles, func(x, y needle) int { return cmp.Compare(len(y.text), len(x.text)) })

	done := 0
	for at := 0; at < len(s); {
		i := -1
		if first[s[at]] {
			i = slices.IndexFunc(needles, func(n needle) bool { return strings.HasPrefix(s[at:], n.text) })
		}
		if i < 0 {
			at++
			continue
		}
		token := needles[i].token
		start, stop := at, at+len(needles[i].text)
		at = stop
		if token.Special && !special || token.SingleWord && (wordBefore(s[:start]) || wordAfter(s[stop:])) {
			continue
		}
		if token.LStrip {
			start = max(done, len(strings.TrimRightFunc(s[:start], unicode.IsSpace)))
		}
		if token.RStrip {
			stop = len(s) - len(strings.TrimLeftFunc(s[stop:], unicode.IsSpace))
		}
		start = max(start, done) // the one before may have taken this one's first white space along
		if start > done {
			yield(s[done:start], -1)
		}
		yield(s[start:max(stop, start)], token.ID)
		done, at = max(stop, start), max(at, stop)
	}
	if done < len(s) {
		yield(s[done:], -1)
	}
}

func wordBefore(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func wordAfter(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

// isWord is \w of regular expressions that know Unicode.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic,
		unicode.Join_Control)
}

// lowercase lowers letter by letter, as the reference does: no rule looks at a letter's neighbours, and one letter
// becomes two.
func lowercase(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "\u0130", "i\u0307"))
}
