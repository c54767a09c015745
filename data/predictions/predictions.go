// Package predictions reads captions that programs wrote, and puts them to the examples that people captioned, to be
// scored. These are no training data: see package data.
package predictions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"captioner/data"
	"captioner/data/image"
	"captioner/data/parquet"
	"captioner/data/record"
	"captioner/weights/plural"
)

// The kinds of files of predictions and references beyond those that [data.Open] knows.
const (
	KindLines   data.Kind = "text, a caption a line"
	KindObject  data.Kind = "JSON object of captions by image"
	KindResults data.Kind = "records of image ids and captions"
)

// A Prediction is what a captioner said of one image.
type Prediction struct {
	// the image id as the file writes it, or the path where there is none; the line's number, from 1, in a text of
	// captions alone
	ID      string
	Path    string // of the image, "" if the file has none
	Caption string
	// why there is no caption, as captioner's own JSON lines say of an image that could not be read; "" if there is one
	Failed string
}

// A Set is the captions of one file, in its order. An id may come twice.
type Set struct {
	File string
	Kind data.Kind
	List []Prediction

	Notes *record.Notes // by which rules the file was read
}

// idNames are the names under which records have the image's id. "id" alone counts only where there is no path: it may
// be the caption's.
var idNames = []string{"image_id", "imageid", "image id", "imgid", "img_id", "cocoid"}

// failureNames are the names under which records say why they have no caption.
var failureNames = []string{"error"}

// referenceNames are the names under which records may have captions beside those of tables.
var referenceNames = append([]string{"references", "refs"}, record.CaptionNames...)

// Read reads captions that were given to images, and finds out by the content in which form they are:
//
//   - the results form of COCO, an array of objects with image_id and caption, or the same as JSON lines;
//   - captioner's own JSON lines, with path and caption, or with path and error;
//   - an object of captions by image: {"image1": "a dog"};
//   - a table with columns for id or path and for the caption, separated by commas, semicolons, tabs or bars; rows of
//     an image's file name and a caption need no names of columns;
//   - a Parquet table with columns of such names;
//   - else text, a caption a line; an empty line is an empty caption.
//
// The file may be compressed. It is read whole, and once, so it can be a pipe.
func Read(path string) (*Set, error) {
	p := &Set{File: path, Notes: new(record.Notes)}
	read := func() ([]byte, error) { return readText(path, p.Notes) }
	if parquet.Is(path) {
		read = func() ([]byte, error) { return parquetLines(path) }
	}
	b, err := read()
	if err != nil {
		return nil, fmt.Errorf("read predictions: %w", err)
	}
	var records []entry
	if p.Kind, records, err = parseCaptions(path, b); err != nil {
		return nil, fmt.Errorf("read predictions: %w", err)
	}
	for _, r := range records {
		one := Prediction{ID: r.id, Path: r.path, Failed: r.failed}
		if one.ID == "" {
			one.ID = r.path
		}
		if len(r.captions) > 0 {
			one.Caption = record.Trim(r.captions[0])
		}
		p.List = append(p.List, one)
	}
	return p, nil
}

// entry is one of a file of captions. One of id and path may be "".
type entry struct {
	id, path, failed string
	captions         []string
}

// parquetLines are the rows of a Parquet table as JSON lines, without the bytes of images.
func parquetLines(path string) ([]byte, error) {
	f, err := parquet.Open(path)
	if err != nil {
		return nil, &record.Error{File: path, Err: err}
	}
	defer f.Close()
	l, err := f.Layout(parquet.Names{Path: record.PathNames})
	if err != nil {
		return nil, &record.Error{File: path, Err: err}
	}
	var b bytes.Buffer
	for row, err := range f.Rows(func(column string) bool { return column != l.Image }) {
		if err != nil {
			return nil, &record.Error{File: path, Err: err}
		}
		if err := json.NewEncoder(&b).Encode(row); err != nil {
			return nil, &record.Error{File: path, Err: err}
		}
	}
	return b.Bytes(), nil
}

// readText reads a file whole, unpacked, as UTF-8.
func readText(path string, notes *record.Notes) ([]byte, error) {
	f, err := record.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, &record.Error{File: path, Err: err}
	}
	f.NoteEncoding(notes)
	return b, nil
}

// parseCaptions reads any form that Read knows.
func parseCaptions(path string, b []byte) (data.Kind, []entry, error) {
	text := bytes.TrimSpace(b)
	switch {
	case len(text) == 0:
		return "", nil, &record.Error{File: path, Err: errors.New("the file is empty, want captions")}
	case startsJSON(text, '[', "{]"):
		list, err := parseArray(path, b)
		return KindResults, list, err
	case startsJSON(text, '{', `"}`):
		return parseObjects(path, b)
	}
	if columns := predictionTable(path, b); columns != nil {
		list, err := columns.read(path, b)
		return data.KindTable, list, err
	}
	return KindLines, parseLines(b), nil
}

// startsJSON tells JSON from a line of text that happens to begin with a bracket.
func startsJSON(text []byte, open byte, next string) bool {
	if text[0] != open {
		return false
	}
	rest := bytes.TrimLeft(text[1:], " \t\r\n")
	return len(rest) == 0 || strings.IndexByte(next, rest[0]) >= 0
}

func parseLines(b []byte) []entry {
	var list []entry
	for line := range strings.Lines(string(b)) {
		list = append(list, entry{id: strconv.Itoa(len(list) + 1), captions: []string{record.Trim(line)}})
	}
	return list
}

func parseArray(path string, b []byte) ([]entry, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var list []entry
	err := record.EachElement(d, path, "record", func(int) error {
		var members map[string]json.RawMessage
		if err := d.Decode(&members); err != nil {
			return err
		}
		r, err := recordOf(members)
		list = append(list, r)
		return err
	})
	if err == nil {
		err = atEnd(d, path)
	}
	return list, err
}

// atEnd makes an error of what stands behind the last value.
func atEnd(d *json.Decoder, path string) error {
	if t, err := d.Token(); err != io.EOF {
		return &record.Error{File: path, Record: fmt.Sprintf("byte %d", d.InputOffset()),
			Err: fmt.Errorf("found %.40q behind the end, want nothing more", fmt.Sprint(t))}
	}
	return nil
}

// parseObjects reads objects one after another: records, or a single one whose members are captions by image.
func parseObjects(path string, b []byte) (data.Kind, []entry, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var list []entry
	for number := 1; ; number++ {
		var members map[string]json.RawMessage
		err := d.Decode(&members)
		if err == io.EOF {
			return data.KindRecords, list, nil
		}
		var r entry
		if err == nil {
			r, err = recordOf(members)
		}
		if err == nil {
			list = append(list, r)
			continue
		}
		if number == 1 && byImage(members) {
			list, err := parseObject(path, b)
			return KindObject, list, err
		}
		return "", nil, record.At(path, "record", number, "%w", record.NoEOF(err))
	}
}

// byImage says whether the members of an object are captions. Some may be none, which reading them says.
func byImage(members map[string]json.RawMessage) bool {
	good := false
	for name, v := range members {
		if slices.Contains(idNames, name) || slices.Contains(record.PathNames, name) {
			return false // a record that lacks its caption
		}
		captions, err := record.Captions(v)
		good = good || err == nil && len(captions) > 0
	}
	return good
}

// parseObject reads captions by image in their order; an image may be named twice.
func parseObject(path string, b []byte) ([]entry, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return nil, record.At(path, "record", 1, "%w", record.NoEOF(err))
	}
	var list []entry
	for d.More() {
		name, err := d.Token()
		var v json.RawMessage
		if err == nil {
			err = d.Decode(&v)
		}
		var captions []string
		if err == nil {
			captions, err = record.Captions(v)
		}
		if err == nil && name == "" {
			err = errors.New("the image has no name")
		}
		if err != nil {
			if name != nil {
				err = fmt.Errorf("image %q: %w", name, record.NoEOF(err))
			}
			return nil, record.At(path, "record", len(list)+1, "%w", record.NoEOF(err))
		}
		list = append(list, entry{id: fmt.Sprint(name), captions: captions})
	}
	if _, err := d.Token(); err != nil {
		return nil, record.At(path, "record", len(list), "after it: %w", record.NoEOF(err))
	}
	return list, atEnd(d, path)
}

// recordOf finds in an object what it is about and what it says.
func recordOf(members map[string]json.RawMessage) (r entry, err error) {
	var name record.ID
	_ = json.Unmarshal(record.Member(members, record.PathNames), &r.path) // what is no string is no path
	var raw []byte
	if json.Unmarshal(record.Member(members, []string{"path_bytes"}), &raw) == nil && len(raw) > 0 {
		r.path = string(raw)
	}
	names := idNames
	if r.path == "" {
		names = append(names[:len(names):len(names)], "id")
	}
	if v := record.Member(members, names); v[0] == '"' || v[0] == '-' || v[0] >= '0' && v[0] <= '9' {
		if err := json.Unmarshal(v, &name); err != nil {
			return r, err
		}
		r.id = string(name)
	}
	if r.id == "" && r.path == "" {
		return r, fmt.Errorf("no image, want its id or path named one of %s, %s", strings.Join(idNames[:1], ", "),
			strings.Join(record.PathNames, ", "))
	}
	if r.captions, err = record.Captions(record.Member(members, referenceNames)); err != nil {
		if json.Unmarshal(record.Member(members, failureNames), &r.failed) != nil || r.failed == "" {
			return r, err
		}
	}
	return r, nil
}

// predictionColumns says which fields of a row are what; -1 if there is none.
type predictionColumns struct {
	id, path, caption, width int
	header                   bool
	captions                 []int // all of them, for references
}

// predictionTable looks at the first row; nil if it is not one of a table.
func predictionTable(path string, b []byte) *predictionColumns {
	for _, row := range record.Rows(newReader(b), path) {
		if row.Err != nil || len(row.Fields) < 2 {
			return nil
		}
		names, bare := record.Columns(row.Fields)
		c := &predictionColumns{id: record.First(names, idNames), path: record.First(names, record.PathNames),
			caption: record.First(bare, referenceNames), width: len(names), header: true}
		if c.path < 0 && c.id < 0 {
			c.id = record.First(names, []string{"id"})
		}
		if (c.id >= 0 || c.path >= 0) && c.caption >= 0 {
			for i, name := range bare {
				if name == bare[c.caption] {
					c.captions = append(c.captions, i)
				}
			}
			return c
		}
		if image.HasExtension(record.Trim(row.Fields[0])) {
			return &predictionColumns{id: -1, path: 0, caption: 1, captions: []int{1}, width: len(names)}
		}
		return nil
	}
	return nil
}

func (c *predictionColumns) read(path string, b []byte) ([]entry, error) {
	var list []entry
	header := c.header
	for number, row := range record.Rows(newReader(b), path) {
		switch {
		case row.Err != nil:
			return nil, row.Err
		case header:
			header = false
			continue
		case len(row.Fields) != c.width:
			return nil, record.At(path, "line", number, "found %s, want %d", plural.Count(len(row.Fields), "field"), c.width)
		}
		var r entry
		if c.id >= 0 {
			r.id = record.Trim(row.Fields[c.id])
		}
		if c.path >= 0 {
			r.path = record.Trim(row.Fields[c.path])
		}
		if r.id == "" && r.path == "" {
			return nil, record.At(path, "line", number, "no id and no path of an image")
		}
		for _, i := range c.captions {
			if i == c.caption || record.Trim(row.Fields[i]) != "" {
				r.captions = append(r.captions, row.Fields[i])
			}
		}
		list = append(list, r)
	}
	if len(list) == 0 {
		return nil, &record.Error{File: path, Err: errors.New("found names of columns and no row below them")}
	}
	return list, nil
}
