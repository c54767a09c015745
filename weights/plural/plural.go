// Package plural writes numbers of things for people. Every count in a message is written by it.
package plural

import (
	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// number is what counts things.
type number interface {
	~int | ~int32 | ~int64 | ~uint32 | ~uint64
}

// Count is a number of things: "1 image", "1,000 images", "0 entries". one is the name of a single thing.
func Count[N number](n N, one string) string { return english.Plural(int(n), one, "") }

// Word is the name of n things without their number: "image", "images".
func Word[N number](n N, one string) string { return english.PluralWord(int(n), one, "") }

// Number is a number alone: "1,000".
func Number[N number](n N) string { return humanize.Comma(int64(n)) }

// Are is Count with its verb: "1 image is", "2 images are".
func Are[N number](n N, one string) string {
	return Count(n, one) + " " + english.PluralWord(int(n), "is", "are")
}

// Or lists what is allowed: "a", "a or b", "a, b or c".
func Or(words []string) string { return english.WordSeries(words, "or") }
