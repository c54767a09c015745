// Package parquet reads tables of images and captions from Parquet files, as the data sets of Hugging Face have them,
// and writes captions into such files. It is a thin layer over github.com/parquet-go/parquet-go: rows come as plain
// values, only the columns that are asked for are read, and a damaged file is an error.
package parquet

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"captioner/data/parquet/bounds"
)

// Magic is how a Parquet file begins and ends.
const Magic = "PAR1"

// Row is one row by the names of its columns. A value is nil, a bool, an int64, a float64, a string, []byte, a []any of
// values, or a Row.
type Row = map[string]any

// File is an open file. One goroutine at a time may use it.
type File struct {
	file   *parquet.File
	raw    io.ReaderAt
	closer io.Closer
}

// Is says whether a file begins as Parquet does. A pipe is not read.
func Is(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return Begins(f)
}

// Begins says the same of an open file, wherever it stands.
func Begins(f io.ReaderAt) bool {
	var head [len(Magic)]byte
	n, _ := f.ReadAt(head[:], 0)
	return string(head[:n]) == Magic
}

// Open opens the file at a path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p, err := openFile(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	p.closer = f
	return p, nil
}

// openFile is Read of all of a file.
func openFile(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return Read(f, info.Size())
}

// Read reads the index of a file of this size, which has to stay open.
func Read(r io.ReaderAt, size int64) (_ *File, err error) {
	defer caught(&err)
	if err := bounds.Footer(r, size); err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	return &File{file: file, raw: r}, nil
}

// caught makes an error of what the library panics with on damaged files.
func caught(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("parquet: the file is damaged: %v", v)
	}
}

// Close closes a file that Open opened.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Len is the number of rows.
func (f *File) Len() int64 { return f.file.NumRows() }

// Columns are the names of the columns.
func (f *File) Columns() (names []string) {
	for _, field := range f.file.Schema().Fields() {
		names = append(names, field.Name())
	}
	return names
}

// Rows gives the rows in order, with the columns for which wanted is true: it is asked with the path of each, such as
// "image.bytes" and "captions". Nil wants all.
func (f *File) Rows(wanted func(column string) bool) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		stopped := false
		err := f.each(wanted, func(r Row) bool {
			stopped = !yield(r, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// each calls yield for each row until it returns false.
func (f *File) each(wanted func(string) bool, yield func(Row) bool) (err error) {
	inside := false // of yield, whose panics are not those of the library
	defer func() {
		if !inside {
			caughtIn(recover(), &err)
		}
	}()
	leaves, err := f.leaves(wanted)
	if err != nil {
		return err
	}
	pages := bounds.NewPages(f.raw, f.file.Size())
	for number, group := range f.file.RowGroups() {
		chunks := group.ColumnChunks()
		cursors := make([]*cursor, len(leaves))
		for i, l := range leaves {
			if err := f.check(pages, number, l.index); err != nil {
				return fmt.Errorf("parquet: column %q: %w", strings.Join(l.names, "."), err)
			}
			cursors[i] = &cursor{pages: chunks[l.index].Pages(), bounds: pages}
			defer cursors[i].pages.Close()
		}
		for range group.NumRows() {
			row := make(Row)
			for i, l := range leaves {
				values, err := cursors[i].row()
				if err != nil {
					return fmt.Errorf("parquet: column %q: %w", strings.Join(l.names, "."), err)
				}
				l.put(row, values)
			}
			inside = true
			more := yield(row)
			if inside = false; !more {
				return nil
			}
		}
	}
	return nil
}

// check holds the pages of a column of a row group to the size of the file.
func (f *File) check(pages *bounds.Pages, group, column int) error {
	chunk := f.file.RowGroups()[group].ColumnChunks()[column].(*parquet.FileColumnChunk)
	return pages.Check(chunk.Node().(*parquet.Column), &f.file.Metadata().RowGroups[group].Columns[column].MetaData)
}

// checkAll is check of all columns.
func (f *File) checkAll() error {
	pages := bounds.NewPages(f.raw, f.file.Size())
	for group, g := range f.file.RowGroups() {
		for column := range g.ColumnChunks() {
			if err := f.check(pages, group, column); err != nil {
				return err
			}
		}
	}
	return nil
}

func caughtIn(v any, err *error) {
	if v != nil {
		*err = fmt.Errorf("parquet: the file is damaged: %v", v)
	}
}

// leaf is a column that holds values.
type leaf struct {
	names []string // without those that stand for lists alone
	list  int      // how many of the names stand before the list that the values are in; -1 for none
	index int
	there int // definition level from which on a list has an entry
	text  bool
}

// The limits of a table: columns, and values of one row in one of them.
const (
	maxLeaves = 10_000
	maxValues = 100_000
)

// leaves lists the columns that are wanted. Lists in lists are left out.
func (f *File) leaves(wanted func(string) bool) (all []leaf, err error) {
	schema := f.file.Schema()
	for _, path := range schema.Columns() {
		column, ok := schema.Lookup(path...)
		if !ok {
			return nil, fmt.Errorf("parquet: no column %q", strings.Join(path, "."))
		}
		l := leaf{list: -1, index: column.ColumnIndex, text: isText(column.Node)}
		if column.MaxRepetitionLevel > 1 || len(all) > maxLeaves {
			continue
		}
		l.name(schema, path)
		if name := strings.Join(l.names, "."); wanted == nil || wanted(name) {
			all = append(all, l)
		}
	}
	return all, nil
}

// name finds the names of a column's path, without the groups that a list has below it.
func (l *leaf) name(schema *parquet.Schema, path []string) {
	var node parquet.Node = schema
	level := 0
	for i := 0; i < len(path); i++ {
		node = child(node, path[i])
		l.names = append(l.names, path[i])
		if !node.Required() {
			level++
		}
		switch {
		case node.Repeated():
			l.list, l.there = len(l.names), level
		case !node.Leaf() && isList(node): // name (LIST) / list (repeated) / element, or name / element (repeated)
			level++
			l.list, l.there = len(l.names), level
			repeated := child(node, path[i+1])
			i++
			node = repeated
			if !repeated.Leaf() && len(repeated.Fields()) == 1 && i+1 < len(path) {
				i++
				if node = child(repeated, path[i]); !node.Required() {
					level++
				}
			}
		}
	}
}

func child(n parquet.Node, name string) parquet.Node {
	for _, f := range n.Fields() {
		if f.Name() == name {
			return f
		}
	}
	return n
}

func isList(n parquet.Node) bool {
	fields := n.Fields()
	return len(fields) == 1 && fields[0].Repeated()
}

// isText says whether bytes are characters.
func isText(n parquet.Node) bool {
	t := n.Type().LogicalType()
	if t == nil {
		return false
	}
	switch t.Value.(type) {
	case *format.StringType, *format.EnumType, *format.JsonType:
		return true
	}
	return false
}

// cursor reads a column row by row.
type cursor struct {
	pages  parquet.Pages
	bounds *bounds.Pages
	values parquet.ValueReader
	buffer [64]parquet.Value
	ahead  []parquet.Value
	ended  bool
}

// fill reads values if there are none ahead.
func (c *cursor) fill() error {
	for len(c.ahead) == 0 && !c.ended {
		if c.values == nil {
			page, err := c.pages.ReadPage()
			if err == io.EOF {
				c.ended = true
				return nil
			}
			if err != nil {
				return err
			}
			c.values = page.Values()
		}
		n, err := c.values.ReadValues(c.buffer[:])
		c.ahead = c.buffer[:n]
		if err == io.EOF {
			c.values = nil
		} else if err != nil {
			return err
		} else if n == 0 {
			return io.ErrNoProgress
		}
	}
	return nil
}

// row is the values of the next row: the first, and those behind it that are of the same one.
func (c *cursor) row() (values []parquet.Value, err error) {
	for {
		if err := c.fill(); err != nil {
			return nil, err
		}
		if len(c.ahead) == 0 {
			if len(values) == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			return values, nil
		}
		if len(values) > 0 && c.ahead[0].RepetitionLevel() == 0 {
			return values, nil
		}
		if len(values) == maxValues {
			return nil, fmt.Errorf("a row of more than %d values", maxValues)
		}
		if k := c.ahead[0].Kind(); k == parquet.ByteArray || k == parquet.FixedLenByteArray {
			if err := c.bounds.Given(len(c.ahead[0].ByteArray())); err != nil {
				return nil, err
			}
		}
		values = append(values, c.ahead[0].Clone())
		c.ahead = c.ahead[1:]
	}
}

// put puts the values of a row where their names say.
func (l leaf) put(row Row, values []parquet.Value) {
	if l.list < 0 {
		place(row, l.names, l.value(values[0]))
		return
	}
	outer, inner := l.names[:l.list], l.names[l.list:]
	list, _ := find(row, outer).([]any)
	if len(values) == 1 && values[0].DefinitionLevel() < l.there { // null, or empty
		if list == nil {
			place(row, outer, nil)
		}
		return
	}
	for i, v := range values {
		if len(list) <= i {
			list = append(list, nil)
		}
		if len(inner) == 0 {
			list[i] = l.value(v)
			continue
		}
		item, _ := list[i].(Row)
		if item == nil {
			item = make(Row)
			list[i] = item
		}
		place(item, inner, l.value(v))
	}
	place(row, outer, list)
}

func find(row Row, names []string) any {
	for _, n := range names[:len(names)-1] {
		row, _ = row[n].(Row)
	}
	return row[names[len(names)-1]]
}

func place(row Row, names []string, v any) {
	for _, n := range names[:len(names)-1] {
		inner, _ := row[n].(Row)
		if inner == nil {
			inner = make(Row)
			row[n] = inner
		}
		row = inner
	}
	row[names[len(names)-1]] = v
}

func (l leaf) value(v parquet.Value) any {
	if v.IsNull() {
		return nil
	}
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32:
		return int64(v.Int32())
	case parquet.Int64:
		return v.Int64()
	case parquet.Float:
		return number(float64(v.Float()))
	case parquet.Double:
		return number(v.Double())
	case parquet.ByteArray, parquet.FixedLenByteArray:
		if l.text {
			return string(v.ByteArray())
		}
		return slices.Clone(v.ByteArray())
	}
	return v.String()
}

// number is nil for what JSON cannot hold.
func number(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}

// Text is a value as text: strings, and bytes that are none.
func Text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		if len(v) > 0 && bytes.IndexByte(v, 0) < 0 {
			return string(v), true
		}
	}
	return "", false
}
