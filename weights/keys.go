package weights

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// KeyError says how the tensors of a file differ from those that a model wants: everything at once, so that one look is
// enough.
type KeyError struct {
	Path       string          // the file, or what else names the source; may be empty
	Missing    []string        // wanted, not in the file
	Unexpected []string        // in the file, not wanted
	Misshaped  []ShapeMismatch // in both, with different shapes
}

// ShapeMismatch is one tensor whose shape is not the one that the model wants.
type ShapeMismatch struct {
	Name      string
	Got, Want []int64
}

// Err returns e as an error, or nil when nothing differs (or e is nil).
func (e *KeyError) Err() error {
	if e == nil || len(e.Missing)+len(e.Unexpected)+len(e.Misshaped) == 0 {
		return nil
	}
	return e
}

// Error tells the differences in one line: how many there are, and the first of each kind.
func (e *KeyError) Error() string {
	var parts []string
	if n := len(e.Missing); n > 0 {
		parts = append(parts, fmt.Sprintf("%d missing: %s", n, first(quoteAll(e.Missing))))
	}
	if n := len(e.Unexpected); n > 0 {
		parts = append(parts, fmt.Sprintf("%d unexpected: %s", n, first(quoteAll(e.Unexpected))))
	}
	if n := len(e.Misshaped); n > 0 {
		each := make([]string, n)
		for i, m := range e.Misshaped {
			each[i] = fmt.Sprintf("%q: shape %v, want %v", m.Name, m.Got, m.Want)
		}
		parts = append(parts, fmt.Sprintf("%d misshaped: %s", n, first(each)))
	}
	if len(parts) == 0 {
		parts = []string{"no key differs"}
	}
	if e.Path == "" {
		return "load weights: " + strings.Join(parts, "; ")
	}
	return fmt.Sprintf("load %q: %s", e.Path, strings.Join(parts, "; "))
}

// first joins the first few.
func first(each []string) string {
	const most = 6
	if more := len(each) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(each[:most], ", "), more)
	}
	return strings.Join(each, ", ")
}

func quoteAll(names []string) []string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return q
}

// Unused are the unexpected tensors of a source that holds all that the model wants, by the names of all tensors there.
// It is nil where one of them may change what the model gives: where a tensor is missing or misshaped, or an unexpected
// one stands in a numbered list of parts, such as layers, that the model has.
func (e *KeyError) Unused(all []string) []string {
	if len(e.Missing)+len(e.Misshaped) > 0 {
		return nil
	}
	lists := map[string]bool{}
	for _, name := range all {
		if !slices.Contains(e.Unexpected, name) {
			for _, list := range listsOf(name) {
				lists[list] = true
			}
		}
	}
	for _, name := range e.Unexpected {
		if slices.ContainsFunc(listsOf(name), func(list string) bool { return lists[list] }) {
			return nil
		}
	}
	return e.Unexpected
}

// listsOf are the numbered lists that a tensor stands in: "h." and "h.0.mlp." of "h.0.mlp.1.weight".
func listsOf(name string) (lists []string) {
	for at := 0; ; {
		part, _, more := strings.Cut(name[at:], ".")
		if _, err := strconv.Atoi(part); err == nil {
			lists = append(lists, name[:at])
		}
		if !more {
			return lists
		}
		at += len(part) + 1
	}
}

// LoadUsed runs load on src. Where the error is a KeyError whose tensors are all Unused, it runs load again on a view
// of src without them, and returns their names.
func LoadUsed(src Source, load func(Source) error) (unused []string, err error) {
	err = load(src)
	var key *KeyError
	for errors.As(err, &key) {
		left := key.Unused(src.Names())
		if left == nil {
			return nil, err
		}
		unused = append(unused, left...)
		src, err = Rename(src, func(name string) (string, bool) { return name, !slices.Contains(left, name) })
		if err == nil {
			err = load(src)
		}
	}
	if err != nil {
		return nil, err
	}
	return unused, nil
}
