package decode

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ForcedRuns are the runs of tokens that stand for a phrase of Options.Force: within a caption, and at its beginning,
// where a model of capitals may write it large. A | stands between phrases of which any will do.
func ForcedRuns(encode func(string) []int32, phrase string) [][]int32 {
	var runs [][]int32
	for _, s := range alternatives(phrase) {
		runs = appendRuns(runs, encode, " "+s, s, capital(s))
	}
	return runs
}

// BannedRuns are the runs of tokens of Options.Ban that keep a phrase out, wherever it stands and however it is
// capitalised.
func BannedRuns(encode func(string) []int32, phrase string) [][]int32 {
	var runs [][]int32
	for _, s := range alternatives(phrase) {
		lower := strings.ToLower(s)
		for _, s := range []string{s, lower, capital(lower), strings.ToUpper(s)} {
			runs = appendRuns(runs, encode, s, " "+s)
		}
	}
	return runs
}

// alternatives splits a phrase at each |.
func alternatives(phrase string) []string {
	all := strings.Split(phrase, "|")
	for i, s := range all {
		all[i] = strings.TrimSpace(s)
	}
	return all
}

// appendRuns appends the tokens of texts, those that are new.
func appendRuns(runs [][]int32, encode func(string) []int32, texts ...string) [][]int32 {
	for _, s := range texts {
		run := encode(s)
		if !slices.ContainsFunc(runs, func(r []int32) bool { return slices.Equal(r, run) }) {
			runs = append(runs, run)
		}
	}
	return runs
}

// capital is a text with its first letter large.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
