package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"iter"
	"os"
	"strings"
)

// textFile is an annotation file, unpacked on the way if it is gzip.
type textFile struct {
	*bufio.Reader
	file *os.File
}

// openText opens a file of text. A byte order mark is skipped.
func openText(path string) (*textFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(f, 1<<16)
	if head, _ := r.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			f.Close()
			return nil, &RecordError{File: path, Err: err}
		}
		r = bufio.NewReaderSize(z, 1<<16)
	}
	if head, _ := r.Peek(3); bytes.Equal(head, []byte("\ufeff")) {
		r.Discard(3)
	}
	return &textFile{r, f}, nil
}

func (t *textFile) Close() error { return t.file.Close() }

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

// Lines gives the lines of a text file, which may be gzip, without white space around them and without the empty ones:
// text to train a decoder on when there are no pictures.
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
