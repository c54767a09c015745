package weights

import (
	"fmt"
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
