package record

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"captioner/data/text"
	"captioner/data/unpack"
)

// File is an annotation file, unpacked where it is compressed, as UTF-8 whatever it is written in.
type File struct {
	*bufio.Reader
	file     *os.File
	unpacked *unpack.Reader
	text     *text.Reader
}

// Open opens a file of text.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	u, err := unpack.NewReader(f)
	if err != nil {
		f.Close()
		return nil, &Error{File: path, Err: err}
	}
	t := text.NewReader(u)
	return &File{linesOf(bufio.NewReaderSize(t, 1<<16)), f, u, t}, nil
}

// linesOf reads the lines of the classic Macintosh, which end with a carriage return alone, as lines. Excel for macOS
// still writes them as its "CSV (Macintosh)".
func linesOf(r *bufio.Reader) *bufio.Reader {
	const near = 4096
	head, _ := r.Peek(near) // an error comes again with the first Read
	end := bytes.IndexByte(head, '\r')
	if end < 0 || end == near-1 || bytes.IndexByte(head, '\n') >= 0 {
		return r
	}
	return bufio.NewReaderSize(returns{r}, 1<<16)
}

// returns reads carriage returns as line ends.
type returns struct{ r io.Reader }

func (t returns) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	for i, c := range b[:n] {
		if c == '\r' {
			b[i] = '\n'
		}
	}
	return n, err
}

// Close closes the file.
func (t *File) Close() error {
	t.unpacked.Close()
	return t.file.Close()
}

// taken says by which rule the text was read; "" where it is UTF-8 as it should be.
func (t *File) Taken() string { return Taken(t.text.Encoding()) }

func Taken(e text.Encoding) string {
	if e.Expected() {
		return ""
	}
	return fmt.Sprintf("read as %s", e)
}

// NoteEncoding tells how a file was read. It is for when the file was read to its end.
func (t *File) NoteEncoding(n *Notes) {
	if what := Taken(t.text.Encoding()); what != "" {
		n.Add(t.file.Name(), what)
	}
}

// Lines gives the lines of a text with their numbers, from 1, without their ends.
func Lines(r *bufio.Reader) iter.Seq2[int, Line] {
	return func(yield func(int, Line) bool) {
		for number := 1; ; number++ {
			s, err := r.ReadString('\n')
			if err != nil && err != io.EOF {
				yield(number, Line{Err: err})
				return
			}
			if s == "" {
				return
			}
			if !yield(number, Line{Text: strings.TrimRight(s, "\r\n")}) || err == io.EOF {
				return
			}
		}
	}
}

// Line is a line of a text, or the error that was met in its place.
type Line struct {
	Text string
	Err  error
}
