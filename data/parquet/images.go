package parquet

import (
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Layout is which columns of a table hold what.
type Layout struct {
	Image    string // the images' bytes: "image.bytes", "jpg"; "" where there are none
	Path     string // their paths or names; "" where there are none
	Captions string // "" where there are none
	Split    string
}

// Names are the names under which columns may stand, the first that is there counts.
type Names struct{ Path, Captions, Split []string }

// imageNames are columns that hold images beside those that hold paths.
var imageNames = []string{"image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes", "picture", "photo"}

// Layout finds the columns.
func (f *File) Layout(names Names) (l Layout, err error) {
	leaves, err := f.leaves(nil)
	if err != nil {
		return l, err
	}
	kinds := make(map[string]leaf)
	for _, leaf := range leaves {
		kinds[strings.Join(leaf.names, ".")] = leaf
	}
	holds := func(name string, text bool) bool {
		leaf, ok := kinds[name]
		return ok && leaf.list < 0 && leaf.text == text && f.isBytes(leaf)
	}
	for _, name := range slices.Concat(imageNames, names.Path) {
		if l.Image == "" && holds(name+".bytes", false) {
			l.Image = name + ".bytes"
			if _, ok := kinds[name+".path"]; ok {
				l.Path = name + ".path"
			}
		}
		if l.Image == "" && holds(name, false) {
			l.Image = name
		}
	}
	for _, name := range names.Path {
		if l.Path == "" && holds(name, true) {
			l.Path = name
		}
	}
	for _, name := range names.Captions {
		if leaf, ok := kinds[name]; ok && l.Captions == "" && f.isBytes(leaf) {
			l.Captions = name
		}
	}
	for _, name := range names.Split {
		if l.Split == "" && holds(name, true) {
			l.Split = name
		}
	}
	return l, nil
}

// isBytes says whether a column holds bytes or characters.
func (f *File) isBytes(l leaf) bool {
	schema := f.file.Schema()
	column, ok := schema.Lookup(schema.Columns()[l.index]...)
	return ok && column.Node.Type().Kind() == parquet.ByteArray
}

// Get is the value of a column that Layout named.
func Get(r Row, column string) any {
	if column == "" {
		return nil
	}
	return find(r, strings.Split(column, "."))
}

// Texts are the texts of a value: of one text, or of a list of them.
func Texts(v any) (all []string) {
	if list, ok := v.([]any); ok {
		for _, x := range list {
			if s, ok := Text(x); ok {
				all = append(all, s)
			}
		}
		return all
	}
	if s, ok := Text(v); ok {
		all = append(all, s)
	}
	return all
}
