package console

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
)

// The width of a bar, without what stands beside it.
const (
	leastBar = 4
	mostBar  = 32
	besides  = 9 // columns of the percentage, of spaces, and a last one that stays empty
)

// drawBar is a line of at most that many columns: a bar of n of total, and the text behind it. Where there is no total,
// or no room, the text stands alone.
func drawBar(columns int, n, total int64, text string) string {
	width := min(mostBar, columns-besides-utf8.RuneCountInString(text))
	if total <= 0 || width < leastBar {
		return shorten(text, columns-1)
	}
	b := progressbar.NewOptions64(total, progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetDescription(text), progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionSetWidth(width),
		progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerHead: "━", SaucerPadding: " "}))
	if n = min(n, total); n == 0 {
		_ = b.RenderBlank() // nothing is written: there is nothing to go wrong
	} else {
		_ = b.Set64(n)
	}
	return strings.TrimRight(strings.TrimPrefix(b.String(), "\r"), " ")
}

// shorten cuts a text at that many columns.
func shorten(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	if columns < 1 {
		return ""
	}
	return string([]rune(text)[:columns-1]) + "…"
}
