package data

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"

	"captioner/data/image"
)

// The names under which tables and JSON records have the picture, the captions and the split; the first that is there
// counts.
var (
	pathNames = []string{"path", "image", "image_path", "img_path", "file_name", "filename", "filepath", "file",
		"img", "image_name", "image_file"}
	captionNames = []string{"caption", "captions", "text", "texts", "sentence", "sentences", "comment", "description",
		"title", "raw"}
	splitNames = []string{"split"}
)

var numbered = regexp.MustCompile(`[ _-]?[0-9]+$`)

// Table reads rows of a picture's path and its captions: CSV with commas or semicolons, where fields may be quoted, or
// with tabs or bars, where quotes are quotes. A first row that names no picture names the columns: one of path, image,
// file_name, filename… and one or several of caption, captions, text, title… or caption1, caption2…; a column split and
// further ones may stand beside them. Without such a row the path comes first and captions follow. Rows of one picture
// are gathered. With a split other than "" only its rows are used. Relative paths start from the folder images, or if
// that is "" from where the pictures are found beside the file.
func Table(annotations, images, split string) (Source, error) {
	return readTable(annotations, images, split, nil)
}

func readTable(annotations, images, split string, notes *Notes) (Source, error) {
	f, err := openText(annotations)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var (
		g       group
		columns *columns
	)
	for number, row := range rows(f.Reader, annotations) {
		if row.err != nil {
			return nil, row.err
		}
		if columns == nil {
			header := false
			if columns, header, err = columnsOf(row.fields); err != nil {
				return nil, at(annotations, "line", number, "%w", err)
			}
			if columns.split < 0 && split != "" {
				return nil, at(annotations, "line", number, "no column split, want one to take %q of", split)
			}
			if header {
				continue
			}
		}
		if err := columns.add(&g, row.fields, split); err != nil {
			return nil, at(annotations, "line", number, "%w", err)
		}
	}
	f.noteEncoding(notes)
	if columns == nil {
		return nil, &RecordError{File: annotations, Err: errors.New("the file is empty, want rows of a path and a caption")}
	}
	if split != "" && len(g.list) == 0 {
		return nil, &RecordError{File: annotations, Err: fmt.Errorf("no row of the split %q", split)}
	}
	place(g.list, imageFolder(annotations, images, g.list))
	return examples(g.list), nil
}

// columns says which fields of a row are what.
type columns struct {
	path, split int // split is -1 if there is none
	captions    []int
	width       int
}

// columnsOf looks at the first row, which may be a header.
func columnsOf(row []string) (c *columns, header bool, err error) {
	names := make([]string, len(row))
	for i, name := range row {
		names[i] = strings.ToLower(strings.TrimSpace(name))
	}
	c = &columns{path: first(names, pathNames), split: first(names, splitNames), width: len(row)}
	bare := make([]string, len(names)) // caption2 is a caption
	for i, name := range names {
		bare[i] = numbered.ReplaceAllString(name, "")
	}
	if i := first(bare, captionNames); i >= 0 {
		for j, name := range bare {
			if name == bare[i] {
				c.captions = append(c.captions, j)
			}
		}
	}
	switch {
	case c.path >= 0 && len(c.captions) > 0:
		return c, true, nil
	case len(row) > 1 && image.HasExtension(strings.TrimSpace(row[0])):
		c.path, c.split, c.captions = 0, -1, nil
		for i := 1; i < len(row); i++ {
			c.captions = append(c.captions, i)
		}
		return c, false, nil
	}
	return nil, false, fmt.Errorf("found the columns %.200q, want one of %s and one of %s", row, strings.Join(pathNames,
		", "), strings.Join(captionNames, ", "))
}

// first returns the index of the first wanted name that there is, or -1.
func first(names, wanted []string) int {
	for _, name := range wanted {
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
	}
	return -1
}

func (c *columns) add(g *group, row []string, split string) error {
	if len(row) != c.width {
		return fmt.Errorf("found %d fields, want %d", len(row), c.width)
	}
	path := strings.TrimSpace(row[c.path])
	if err := localPath(path); err != nil {
		return err
	}
	if split != "" && strings.TrimSpace(row[c.split]) != split {
		return nil
	}
	g.add(path, path)
	for _, i := range c.captions {
		if len(c.captions) == 1 || strings.TrimSpace(row[i]) != "" { // of several columns some may be free
			g.add(path, path, row[i])
		}
	}
	return nil
}

func localPath(path string) error {
	if path == "" {
		return errors.New("no path of a picture")
	}
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return fmt.Errorf("the picture is %.100q on the web, want a local file: fetch the pictures first", path)
	}
	return nil
}

type rowOrError struct {
	fields []string
	err    error
}

// rows gives the rows of a table with the lines where they begin. What separates fields is told by the first line.
func rows(r *bufio.Reader, file string) iter.Seq2[int, rowOrError] {
	separator := separatorOf(r)
	if separator == ',' || separator == ';' {
		return quotedRows(r, file, separator)
	}
	return func(yield func(int, rowOrError) bool) {
		for number, line := range lines(r) {
			row := rowOrError{err: line.err}
			if line.err != nil {
				row.err = at(file, "line", number, "%w", line.err)
			} else if strings.TrimSpace(line.text) == "" {
				continue
			} else {
				row.fields = strings.Split(line.text, string(separator))
			}
			if !yield(number, row) || row.err != nil {
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

func quotedRows(r io.Reader, file string, separator rune) iter.Seq2[int, rowOrError] {
	c := csv.NewReader(r)
	c.Comma = separator
	c.FieldsPerRecord = -1
	return func(yield func(int, rowOrError) bool) {
		for {
			fields, err := c.Read()
			if err == io.EOF {
				return
			}
			number := 0
			var syntax *csv.ParseError
			if errors.As(err, &syntax) {
				number = syntax.StartLine
				err = at(file, "line", number, "%w", syntax.Err)
			} else if err != nil {
				err = &RecordError{File: file, Err: err}
			} else {
				number, _ = c.FieldPos(0)
			}
			if !yield(number, rowOrError{fields, err}) || err != nil {
				return
			}
		}
	}
}
