package record

import (
	"fmt"
	"sync"
)

// Notes are what the readers of a data set left out, or took by a rule, in lines for people. They are about what was
// read so far: those of a source are complete when it was ranged over once, and each range begins them anew. They are
// safe for concurrent use; a nil *Notes takes none and has none.
type Notes struct {
	mu     sync.Mutex
	opened Tally // what was found when the data set was opened
	ranged Tally // what the last range over the source found
}

// Tally counts names by what is to be said of them.
type Tally struct {
	kinds []string // in the order of their first name
	first map[string]string
	count map[string]int
}

// Add counts one name.
func (t *Tally) Add(name, what string) {
	if t.count == nil {
		t.first, t.count = map[string]string{}, map[string]int{}
	}
	if t.count[what] == 0 {
		t.kinds = append(t.kinds, what)
		t.first[what] = name
	}
	t.count[what]++
}

func (t *Tally) lines() []string {
	var lines []string
	for _, what := range t.kinds {
		switch n := t.count[what] - 1; n {
		case 0:
			lines = append(lines, fmt.Sprintf("%q: %s", t.first[what], what))
		case 1:
			lines = append(lines, fmt.Sprintf("%q and 1 more: %s", t.first[what], what))
		default:
			lines = append(lines, fmt.Sprintf("%q and %d more: %s", t.first[what], n, what))
		}
	}
	return lines
}

// Add notes something that was found while the data set was opened.
func (n *Notes) Add(name, what string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened.Add(name, what)
}

// Replace sets what a range over the source found.
func (n *Notes) Replace(t Tally) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ranged = t
}

// Lines returns a line for each kind of note: the first name that it is about, how many more there are, and what was
// done.
func (n *Notes) Lines() []string {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return append(n.opened.lines(), n.ranged.lines()...)
}
