package train

import (
	"errors"
	"slices"
	"strings"

	"captioner/data"
	"captioner/models/train/features"
	"captioner/models/train/spelling"
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
			out = append(out, example{Example: e, flip: !spelling.Sided(e.Captions)})
		}
	}
	if len(out) == 0 {
		return nil, nil, errors.New("read captions: found no images with captions")
	}
	return out, bare, nil
}

// cut counts captions that are longer than a row, and are cut.
type cut struct {
	captions int
	longest  int // in tokens, with the end
}

// encode fills in the tokens. Verbatim captions are learnt as they are written.
func (c corpus) encode(by spelling.Rows, verbatim bool) (long cut) {
	for i := range c {
		for _, s := range c[i].Captions {
			if !verbatim {
				s = spelling.Normalize(s)
			}
			row, length := by.Row(s)
			if length > by.Longest {
				long.captions, long.longest = long.captions+1, max(long.longest, length)
			}
			c[i].text = append(c[i].text, row)
		}
	}
	return long
}
