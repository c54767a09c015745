package input

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"captioner/cli/console"
	"captioner/data"
	"captioner/weights"
)

// place is where an argument leads: a file or a folder, or of a folder what matches a pattern.
type place struct {
	path    string
	pattern string // of paths below path; it has a **
}

// expand finds the places that an argument means: itself, what a pattern matches, or the names of a range, {000..127}.
// What exists under the argument's own name is never a pattern.
func expand(arg string) ([]place, error) {
	if _, err := os.Lstat(arg); err == nil || !strings.ContainsAny(arg, "*?[{") {
		return []place{{path: arg}}, nil
	}
	names, err := data.Ranges(arg)
	if err != nil {
		return nil, err
	}
	var all []place
	for _, name := range names {
		more, err := glob(name)
		if err != nil && name != arg {
			err = fmt.Errorf("%q: %w", name, err)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

var errNoMatch = console.WithHint(errors.New("nothing matches the pattern"),
	"quote the pattern as it is; * does not cross a /, and ** does")

var errPattern = console.WithHint(errors.New("the pattern is malformed"), "a [ needs its ], and a { its }")

// glob finds what one name means that may be a pattern. One with ** is not looked up here: its folder is walked as it
// goes.
func glob(name string) ([]place, error) {
	if _, err := os.Lstat(name); err == nil {
		return []place{{path: name}}, nil
	} else if !strings.ContainsAny(name, "*?[{") {
		return nil, weights.Reason(err)
	}
	slashed := filepath.ToSlash(name)
	if !doublestar.ValidatePattern(slashed) {
		return nil, errPattern
	}
	if root, rest := doublestar.SplitPattern(slashed); strings.Contains(rest, "**") {
		return []place{{filepath.FromSlash(root), rest}}, nil
	}
	paths, err := doublestar.FilepathGlob(name)
	if err != nil {
		return nil, weights.Reason(err)
	}
	if len(paths) == 0 {
		return nil, errNoMatch
	}
	slices.SortFunc(paths, Natural)
	places := make([]place, len(paths))
	for i, p := range paths {
		places[i].path = p
	}
	return places, nil
}

// matches says whether a path below the place is meant; without a pattern all are.
func (p place) matches(below string) bool {
	return p.pattern == "" || doublestar.MatchUnvalidated(p.pattern, below)
}

// names says whether the pattern says what files are called, and not only where they are: those are tried whatever they
// are.
func (p place) names() bool {
	return p.pattern != "" && strings.Trim(path.Base(p.pattern), "*") != ""
}
