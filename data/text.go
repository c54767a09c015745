package data

import (
	"iter"
	"strings"

	"captioner/data/record"
)

// Lines gives the lines of a text file, which may be compressed, without white space around them and without the empty
// ones: text to train a decoder on when there are no images.
func Lines(path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := record.Open(path)
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		for number, line := range record.Lines(f.Reader) {
			if line.Err != nil {
				yield("", record.At(path, "line", number, "%w", line.Err))
				return
			}
			if s := strings.TrimSpace(line.Text); s != "" && !yield(s, nil) {
				return
			}
		}
	}
}
