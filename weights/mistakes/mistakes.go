// Package mistakes collects what is wrong with options, or with a model's sizes, so that a person hears of all of it at
// once.
package mistakes

import (
	"errors"
	"fmt"
	"slices"

	"captioner/weights/plural"
)

// List is what was found wrong so far. Its zero value is ready, and says that nothing is.
type List []error

// Add adds those errors that are not nil.
func (l *List) Add(errs ...error) {
	for _, err := range errs {
		if err != nil {
			*l = append(*l, err)
		}
	}
}

// Check adds an error of this text unless ok.
func (l *List) Check(ok bool, format string, args ...any) {
	if !ok {
		l.Add(fmt.Errorf(format, args...))
	}
}

// AtLeast wants v to be low or more.
func (l *List) AtLeast(low int64, name string, v int64) {
	l.Check(v >= low, "%s: found %d, want %d or more", name, v, low)
}

// Positive wants v to be 1 or more.
func (l *List) Positive(name string, v int64) { l.AtLeast(1, name, v) }

// Divides wants the heads to share the channels evenly.
func (l *List) Divides(name string, heads, channels int64) {
	l.Check(heads >= 1 && channels%max(heads, 1) == 0, "%s: found %d, want a divisor of %s", name, heads,
		plural.Count(channels, "channel"))
}

// Share wants v to be from 0 to less than 1.
func (l *List) Share(name string, v float64) {
	l.Check(v >= 0 && v < 1, "%s: found %g, want 0 to less than 1", name, v)
}

// OneOf wants v to be one of a few words.
func (l *List) OneOf(name, v string, words ...string) {
	l.Check(slices.Contains(words, v), "%s: found %q, want %s", name, v, plural.Or(words))
}

// Err joins the mistakes into one error that begins with what they are of; nil where there are none.
func (l List) Err(what string) error {
	if err := errors.Join(l...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
