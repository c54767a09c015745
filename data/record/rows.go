package record

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"strings"
)

// Row is a row of a table, or the error that was met in its place.
type Row struct {
	Fields []string
	Err    error
}

// Rows gives the rows of a table with the lines where they begin. What separates fields is told by the first line.
func Rows(r *bufio.Reader, file string) iter.Seq2[int, Row] {
	separator := separatorOf(r)
	if separator == ',' || separator == ';' {
		return quotedRows(r, file, separator)
	}
	return func(yield func(int, Row) bool) {
		for number, line := range Lines(r) {
			row := Row{Err: line.Err}
			if line.Err != nil {
				row.Err = At(file, "line", number, "%w", line.Err)
			} else if strings.TrimSpace(line.Text) == "" {
				continue
			} else {
				row.Fields = strings.Split(line.Text, string(separator))
			}
			if !yield(number, row) || row.Err != nil {
				return
			}
		}
	}
}

// separatorOf peeks at the first line. A comma is the last guess, for it also stands in captions.
func separatorOf(r *bufio.Reader) rune {
	head, _ := r.Peek(4096)
	line, _, _ := strings.Cut(string(head), "\n")
	for _, separator := range "\t|;" {
		if strings.ContainsRune(line, separator) && !(separator != '\t' && strings.ContainsRune(line, ',') &&
			strings.IndexByte(line, ',') < strings.IndexRune(line, separator)) {
			return separator
		}
	}
	return ','
}

func quotedRows(r io.Reader, file string, separator rune) iter.Seq2[int, Row] {
	c := csv.NewReader(r)
	c.Comma = separator
	c.FieldsPerRecord = -1
	return func(yield func(int, Row) bool) {
		for {
			fields, err := c.Read()
			if err == io.EOF {
				return
			}
			number := 0
			var syntax *csv.ParseError
			if errors.As(err, &syntax) {
				number = syntax.StartLine
				err = At(file, "line", number, "%w", syntax.Err)
			} else if err != nil {
				err = &Error{File: file, Err: err}
			} else {
				number, _ = c.FieldPos(0)
			}
			if !yield(number, Row{fields, err}) || err != nil {
				return
			}
		}
	}
}
