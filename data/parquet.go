package data

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"captioner/data/parquet"
	"captioner/data/record"
)

// partsOf lists the Parquet tables in a folder, in natural order.
func partsOf(folder string) (parts []string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // who reads the folder next says so
	}
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && strings.EqualFold(filepath.Ext(name), ".parquet") && name[0] != '.' {
			parts = append(parts, filepath.Join(folder, name))
		}
	}
	slices.SortFunc(parts, naturalCompare)
	return parts
}

// readParquet reads tables with a column of captions, each a text or a list of them, and a column of images: their
// bytes (also as the struct of bytes and path that data sets of Hugging Face have), or their paths. Rows of one path
// are gathered. The bytes of images go to a file without a name, as those of compressed archives do.
func readParquet(files []string, images, split string) (Source, error) {
	var all Group
	for _, file := range files {
		t := parquetTable{file: file, split: split}
		if err := t.read(); err != nil {
			return nil, &RecordError{File: file, Err: err}
		}
		if t.spill == nil {
			Locate(t.rows.List, file, images)
		}
		all.List = append(all.List, t.rows.List...)
	}
	if len(all.List) == 0 && split != "" {
		return nil, &RecordError{File: files[0], Err: fmt.Errorf("no row of the split %q", split)}
	}
	return FromList(all.List), nil
}

// parquetTable is one table that is being read.
type parquetTable struct {
	file, split string
	rows        Group
	spill       *os.File // the bytes of its images, one after the other; nil where it has paths alone
	size        int64
}

func (t *parquetTable) read() error {
	f, err := parquet.Open(t.file)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := f.Layout(parquet.Names{Path: record.PathNames, Captions: record.CaptionNames, Split: record.SplitNames})
	switch {
	case err != nil:
		return err
	case l.Captions == "":
		return fmt.Errorf("found the columns %s, want one of captions, such as caption", strings.Join(f.Columns(), ", "))
	case l.Image == "" && l.Path == "":
		return fmt.Errorf("found the columns %s, want one of images, such as image", strings.Join(f.Columns(), ", "))
	case t.split != "" && l.Split == "":
		return fmt.Errorf("found no column split, want one to take %q of", t.split)
	}
	if l.Image != "" {
		if t.spill, err = os.CreateTemp("", "captioner-*.images"); err != nil {
			return err
		}
		os.Remove(t.spill.Name())
	}
	wanted := func(c string) bool {
		return c == l.Image || c == l.Path || c == l.Captions || c == l.Split && t.split != ""
	}
	n := 0
	for row, err := range f.Rows(wanted) {
		if n++; err != nil {
			return err
		}
		if s, _ := parquet.Text(parquet.Get(row, l.Split)); t.split != "" && s != t.split {
			continue
		}
		if err := t.add(row, l, n); err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
	}
	return nil
}

// add takes one row.
func (t *parquetTable) add(row parquet.Row, l parquet.Layout, number int) error {
	path, _ := parquet.Text(parquet.Get(row, l.Path))
	captions := parquet.Texts(parquet.Get(row, l.Captions))
	if l.Image == "" {
		if err := localPath(path); err != nil {
			return err
		}
		t.rows.Add(path, path, captions...)
		return nil
	}
	b, _ := parquet.Get(row, l.Image).([]byte)
	id := path
	if id == "" {
		id = fmt.Sprintf("%s:%d", filepath.Base(t.file), number)
	}
	before := len(t.rows.List)
	t.rows.Add(id, id, captions...)
	if len(t.rows.List) == before { // a further row of an image
		return nil
	}
	if _, err := t.spill.Write(b); err != nil {
		return err
	}
	e := &t.rows.List[before]
	e.Archive, e.unpacked, e.offset, e.size = t.file, t.spill, t.size, int64(len(b))
	t.size += e.size
	return nil
}
