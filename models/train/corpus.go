package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"captioner/data"
	"captioner/data/tokenizer"
	"captioner/models/train/features"
)

// example is a picture with its captions as they will be learnt.
type example struct {
	data.Example
	text [][]int32 // each caption with the token that begins and ends it
	flip bool      // may be mirrored
}

// corpus is a split in memory: paths and captions, no pixels.
type corpus []example

func (c corpus) captions() (n int) {
	for _, e := range c {
		n += len(e.Captions)
	}
	return n
}

func (c corpus) without(bad []features.Bad) corpus {
	drop := map[int]bool{}
	for _, b := range bad {
		drop[b.Index] = true
	}
	var out corpus
	for i, e := range c {
		if !drop[i] {
			out = append(out, e)
		}
	}
	return out
}

// readCorpus reads a source that was checked. Empty captions are left out; skip also leaves out pictures that are
// missing or have none.
func readCorpus(source data.Source, skip bool) (corpus, error) {
	var out corpus
	for e, err := range source {
		if err != nil {
			return nil, err
		}
		e.Captions = slices.DeleteFunc(slices.Clone(e.Captions), func(s string) bool { return strings.TrimSpace(s) == "" })
		if skip && (len(e.Captions) == 0 || !e.Exists()) {
			continue
		}
		if len(e.Captions) == 0 {
			return nil, fmt.Errorf("read captions: picture %q has none", e.Name())
		}
		out = append(out, example{Example: e, flip: !sided(e.Captions)})
	}
	if len(out) == 0 {
		return nil, errors.New("read captions: found no pictures")
	}
	return out, nil
}

// sided says whether a caption speaks of left or right, which a mirrored picture would make wrong.
func sided(captions []string) bool {
	for _, c := range captions {
		for _, w := range strings.FieldsFunc(strings.ToLower(c), func(r rune) bool { return r < 'a' || r > 'z' }) {
			if w == "left" || w == "right" {
				return true
			}
		}
	}
	return false
}

// normalise is what captions go through before they are learnt: one space between words, and none before a final mark,
// which is dropped.
func normalise(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.TrimRight(s, " .")
}

// encode fills in the tokens: at most positions of them with the end token. Verbatim captions are learnt as they are
// written.
func (c corpus) encode(t *tokenizer.Tokenizer, positions int, verbatim bool) {
	for i := range c {
		for _, s := range c[i].Captions {
			if !verbatim {
				s = normalise(s)
			}
			c[i].text = append(c[i].text, encode(t, s, positions))
		}
	}
}

// encode is a caption as a row to learn: begin, at most positions-1 tokens, end.
func encode(t *tokenizer.Tokenizer, s string, positions int) []int32 {
	row := t.Append([]int32{t.BOS()}, s)
	if len(row) > positions {
		row = row[:positions]
	}
	return append(row, t.EOS())
}

// vocabulary makes a small tokenizer for the captions: lower case, GPT-2's tokens that the captions use at least
// minCount times.
func vocabulary(c corpus, minCount int64) (*tokenizer.Tokenizer, error) {
	whole := tokenizer.GPT2().With(tokenizer.Options{Lowercase: true, PrefixSpace: true})
	uses := whole.Count(func(yield func(string) bool) {
		for _, e := range c {
			for _, s := range e.Captions {
				if !yield(normalise(s)) {
					return
				}
			}
		}
	})
	small, _, err := whole.Trim(tokenizer.AtLeast(uses, minCount))
	return small, err
}
