package data

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"captioner/data/text"
	"captioner/data/unpack"
)

// textFile is an annotation file, unpacked where it is compressed, as UTF-8 whatever it is written in.
type textFile struct {
	*bufio.Reader
	file     *os.File
	unpacked *unpack.Reader
	text     *text.Reader
}

// openText opens a file of text.
func openText(path string) (*textFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	u, err := unpack.NewReader(f)
	if err != nil {
		f.Close()
		return nil, &RecordError{File: path, Err: err}
	}
	t := text.NewReader(u)
	return &textFile{bufio.NewReaderSize(t, 1<<16), f, u, t}, nil
}

func (t *textFile) Close() error {
	t.unpacked.Close()
	return t.file.Close()
}

// taken says by which rule the text was read; "" where it is UTF-8 as it should be.
func (t *textFile) taken() string { return taken(t.text.Encoding()) }

func taken(e text.Encoding) string {
	if e.Expected() {
		return ""
	}
	return fmt.Sprintf("read as %s", e)
}

// noteEncoding tells how a file was read. It is for when the file was read to its end.
func (t *textFile) noteEncoding(n *Notes) {
	if what := t.taken(); what != "" {
		n.add(t.file.Name(), what)
	}
}

// lines gives the lines of a text with their numbers, from 1, without their ends.
func lines(r *bufio.Reader) iter.Seq2[int, lineOrError] {
	return func(yield func(int, lineOrError) bool) {
		for number := 1; ; number++ {
			s, err := r.ReadString('\n')
			if err != nil && err != io.EOF {
				yield(number, lineOrError{err: err})
				return
			}
			if s == "" {
				return
			}
			if !yield(number, lineOrError{text: strings.TrimRight(s, "\r\n")}) || err == io.EOF {
				return
			}
		}
	}
}

type lineOrError struct {
	text string
	err  error
}

// Lines gives the lines of a text file, which may be compressed, without white space around them and without the empty
// ones: text to train a decoder on when there are no images.
func Lines(path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := openText(path)
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		for number, line := range lines(f.Reader) {
			if line.err != nil {
				yield("", at(path, "line", number, "%w", line.err))
				return
			}
			if s := strings.TrimSpace(line.text); s != "" && !yield(s, nil) {
				return
			}
		}
	}
}
