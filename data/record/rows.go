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

// Rows gives the rows of a table with the lines where they begin. The first line may name the separator of fields, as
// Excel does: "sep=;". Otherwise the separator is found in that line.
func Rows(r *bufio.Reader, file string) iter.Seq2[int, Row] {
	separator, said := saidSeparator(r)
	above := 1 // lines above the table
	if !said {
		separator, above = separatorOf(r), 0
	}
	rows := plainRows
	if separator == ',' || separator == ';' {
		rows = quotedRows
	}
	return rows(r, file, separator, above)
}

// saidSeparator reads a first line that is no row of the table, as in "sep=;".
func saidSeparator(r *bufio.Reader) (separator rune, said bool) {
	head, _ := r.Peek(len("sep=;\r\n"))
	line, _, whole := strings.Cut(string(head), "\n")
	line = strings.TrimSuffix(line, "\r")
	if !whole || len(line) != len("sep=;") || !strings.EqualFold(line[:4], "sep=") {
		return 0, false
	}
	separator = rune(line[4])
	if !strings.ContainsRune(",;\t|", separator) {
		return 0, false
	}
	_, err := r.ReadString('\n')
	return separator, err == nil
}

// plainRows reads rows in which quotes are quotes.
func plainRows(r *bufio.Reader, file string, separator rune, above int) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		for number, line := range Lines(r) {
			number += above
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

// quotedRows reads rows whose fields may be quoted, and may have line ends then.
func quotedRows(r *bufio.Reader, file string, separator rune, above int) iter.Seq2[int, Row] {
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
				number = syntax.StartLine + above
				err = At(file, "line", number, "%w", syntax.Err)
			} else if err != nil {
				err = &Error{File: file, Err: err}
			} else {
				number, _ = c.FieldPos(0)
				number += above
			}
			if !yield(number, Row{fields, err}) || err != nil {
				return
			}
		}
	}
}
