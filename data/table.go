package data

import (
	"errors"
	"fmt"
	"strings"

	"captioner/data/image"
	"captioner/data/record"
	"captioner/weights/plural"
)

// Table reads rows of an image's path and its captions: CSV with commas or semicolons, where fields may be quoted, or
// with tabs or bars, where quotes are quotes. A first row that names no image names the columns: one of path, image,
// file_name, "File Name"… and one or several of caption, captions, text, title… or caption1, caption2…; a column split
// and further ones may stand beside them. Without such a row the path comes first and captions follow. Rows of one
// image are gathered. With a split other than "" only its rows are used. Relative paths start from the folder images,
// or if that is "" from where the images are found beside the file.
func Table(annotations, images, split string) (Source, error) {
	return readTable(annotations, images, split, nil)
}

func readTable(annotations, images, split string, notes *Notes) (Source, error) {
	f, err := record.Open(annotations)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var (
		g       Group
		columns *columns
	)
	for number, row := range record.Rows(f.Reader, annotations) {
		if row.Err != nil {
			return nil, row.Err
		}
		if columns == nil {
			header := false
			if columns, header, err = columnsOf(row.Fields); err != nil {
				return nil, record.At(annotations, "line", number, "%w", err)
			}
			if columns.split < 0 && split != "" {
				return nil, record.At(annotations, "line", number, "no column split, want one to take %q of", split)
			}
			if header {
				continue
			}
		}
		if err := columns.add(&g, row.Fields, split); err != nil {
			return nil, record.At(annotations, "line", number, "%w", err)
		}
	}
	f.NoteEncoding(notes)
	if columns == nil {
		return nil, &RecordError{File: annotations, Err: errors.New("the file is empty, want rows of a path and a caption")}
	}
	if split != "" && len(g.List) == 0 {
		return nil, &RecordError{File: annotations, Err: fmt.Errorf("no row of the split %q", split)}
	}
	Locate(g.List, annotations, images)
	return FromList(g.List), nil
}

// columns says which fields of a row are what.
type columns struct {
	path, split int // split is -1 if there is none
	captions    []int
	width       int
}

// columnsOf looks at the first row, which may be a header.
func columnsOf(row []string) (c *columns, header bool, err error) {
	names, bare := record.Columns(row)
	c = &columns{path: record.First(names, record.PathNames), split: record.First(names, record.SplitNames),
		width: len(row)}
	if i := record.First(bare, record.CaptionNames); i >= 0 {
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
	return nil, false, fmt.Errorf("found the columns %.200q, want one of %s and one of %s", row,
		strings.Join(record.PathNames, ", "), strings.Join(record.CaptionNames, ", "))
}

func (c *columns) add(g *Group, row []string, split string) error {
	if len(row) != c.width {
		return fmt.Errorf("found %s, want %d", plural.Count(len(row), "field"), c.width)
	}
	path := strings.TrimSpace(row[c.path])
	if err := localPath(path); err != nil {
		return err
	}
	if split != "" && strings.TrimSpace(row[c.split]) != split {
		return nil
	}
	g.Add(path, path)
	for _, i := range c.captions {
		if len(c.captions) == 1 || strings.TrimSpace(row[i]) != "" { // of several columns some may be free
			g.Add(path, path, row[i])
		}
	}
	return nil
}

func localPath(path string) error {
	if path == "" {
		return errors.New("no path of an image")
	}
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return fmt.Errorf("the image is %.100q on the web, want a local file: fetch the images first", path)
	}
	return nil
}
