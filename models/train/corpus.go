package train

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"captioner/data"
	"captioner/data/tokenizer"
	"captioner/models/train/features"
)

// example is an image with its captions as they will be learnt.
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

// references are the captions of each image.
func (c corpus) references() [][]string {
	out := make([][]string, len(c))
	for i, e := range c {
		out[i] = e.Captions
	}
	return out
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

// readCorpus reads a source that was checked. Empty captions are left out, and so are images of which all captions are
// empty, which bare names; skip also leaves out images that are missing or have no captions.
func readCorpus(source data.Source, skip bool) (out corpus, bare []string, err error) {
	for e, err := range source {
		if err != nil {
			return nil, nil, err
		}
		given := len(e.Captions)
		e.Captions = slices.DeleteFunc(slices.Clone(e.Captions), func(s string) bool { return strings.TrimSpace(s) == "" })
		switch {
		case skip && (given == 0 || !e.Exists()):
		case len(e.Captions) == 0:
			bare = append(bare, e.Name())
		default:
			out = append(out, example{Example: e, flip: !sided(e.Captions)})
		}
	}
	if len(out) == 0 {
		return nil, nil, errors.New("read captions: found no images with captions")
	}
	return out, bare, nil
}

// sided says whether a caption speaks of left or right, which a mirrored image would make wrong.
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

// normalize is what captions go through before they are learnt: one space between words, and none before a final mark,
// which is dropped.
func normalize(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.TrimRight(s, " .")
}

// cut counts captions that are longer than a row, and are cut.
type cut struct {
	captions int
	longest  int // in tokens, with the end
}

// encode fills in the tokens: at most positions of them with the end token. Verbatim captions are learnt as they are
// written.
func (c corpus) encode(t *tokenizer.Tokenizer, positions int, verbatim bool) (long cut) {
	for i := range c {
		for _, s := range c[i].Captions {
			if !verbatim {
				s = normalize(s)
			}
			row, length := encode(t, s, positions)
			if length > positions {
				long.captions, long.longest = long.captions+1, max(long.longest, length)
			}
			c[i].text = append(c[i].text, row)
		}
	}
	return long
}

// encode is a caption as a row to learn: begin, at most positions-1 tokens, end. length is how many tokens the whole
// caption has with its end.
func encode(t *tokenizer.Tokenizer, s string, positions int) (row []int32, length int) {
	row = t.Append([]int32{t.BOS()}, s)
	length = len(row)
	if length > positions {
		row = row[:positions]
	}
	return append(row, t.EOS()), length
}

// vocabulary makes a small tokenizer for lines of text: lower case, GPT-2's tokens that they use at least minCount
// times. Where base is not nil, it has base's tokens too, and treats text as base does.
func vocabulary(lines iter.Seq[string], minCount int64, base *tokenizer.Tokenizer) (*tokenizer.Tokenizer, error) {
	whole := tokenizer.GPT2().With(tokenizer.Options{Lowercase: true, PrefixSpace: true})
	var keep []int32
	if base != nil {
		whole = whole.With(base.Options())
		for id, ids := range tokenizer.Spelled(base, whole) {
			if len(ids) != 1 {
				token, _ := base.Token(int32(id))
				return nil, fmt.Errorf("tokenizer: found the token %q, want those of GPT-2 alone", token)
			}
			keep = append(keep, ids[0])
		}
	}
	small, _, err := whole.Trim(append(keep, tokenizer.AtLeast(whole.Count(lines), minCount)...))
	return small, err
}
