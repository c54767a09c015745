package input

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/data/parquet"
	"captioner/data/record"
	"captioner/weights"
)

// parquet lists the images of a table: those whose bytes are in it, as in an archive, or those that it names by path or
// address. Bytes wait in memory for their turn.
func (a *archive) parquet(file *os.File) error {
	f, err := parquet.Read(file, a.size)
	if err != nil {
		return fmt.Errorf("read the table: %w", weights.Reason(err))
	}
	l, err := f.Layout(parquet.Names{Path: record.PathNames})
	if err != nil {
		return fmt.Errorf("read the table: %w", err)
	}
	if l.Image == "" && l.Path == "" {
		err := fmt.Errorf("the table has the columns %s, and none of images", strings.Join(f.Columns(), ", "))
		return console.WithHint(err, "images stand in a column image, of bytes, of bytes and path, or of paths")
	}
	wanted := func(column string) bool { return column == l.Path || column == l.Image && !a.counting }
	names := make(map[string]bool)
	n := 0
	for row, err := range f.Rows(wanted) {
		if err != nil {
			return fmt.Errorf("read the table: %w", err)
		}
		path, _ := parquet.Text(parquet.Get(row, l.Path))
		n++
		name := rowName(path, n, names)
		a.seen.files++
		a.seen.images++
		if l.Image == "" {
			if !a.named(path, n) {
				return nil
			}
			continue
		}
		b, _ := parquet.Get(row, l.Image).([]byte)
		var missing error
		if len(b) == 0 && !a.counting {
			missing = fmt.Errorf("row %d of the table has no image", n)
		}
		if !a.give(name, int64(len(b)), func(context.Context) ([]byte, error) { return b, nil }, missing) {
			return nil
		}
	}
	return nil
}

// rowName is the name of an image in a table: that which the table gives it, or where it has none or one twice, the
// number of its row.
func rowName(path string, row int, names map[string]bool) string {
	name := strings.TrimPrefix(slashed(path), "./")
	if name == "" || !filepath.IsLocal(name) || names[name] {
		name = fmt.Sprintf("row-%d", row)
	}
	names[name] = true
	return name
}

// named hands on an image that a table names, by its path from the folder of the table or by its address.
func (a *archive) named(path string, row int) bool {
	switch {
	case path == "":
		return a.give(fmt.Sprintf("row-%d", row), 0, nil, errors.New("the row names no image"))
	case IsURL(path):
		in := Input{Path: path, Key: path}
		if a.in.Web != nil {
			in.Open = a.in.Web.body(path)
		}
		a.stopped = !a.yield(in)
		return !a.stopped
	case cloud.Is(path):
		a.stopped = !a.yield(objects{a.in}.image(path))
		return !a.stopped
	case cloud.Is(a.file):
		a.stopped = !a.yield(objects{a.in}.image(a.file[:strings.LastIndex(a.file, "/")+1] + path))
		return !a.stopped
	}
	full := filepath.FromSlash(path)
	if !filepath.IsAbs(full) {
		full = filepath.Join(filepath.Dir(a.file), full)
	}
	a.stopped = !a.yield(Input{Path: full, Key: path})
	return !a.stopped
}
