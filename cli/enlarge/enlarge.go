// Package enlarge is the part of a page of photographs that shows one of them large, with buttons and keys to step on.
package enlarge

import (
	_ "embed"
	"strings"
)

var (
	//go:embed enlarge.css
	style string
	//go:embed enlarge.html
	dialog string
	//go:embed enlarge.js
	script string
)

// In puts the part into the source of a page, where {{enlarge.css}}, {{enlarge.html}} and {{enlarge.js}} stand. The
// page has links of the class enlarge, each around a small image. In front of the script it has a function
// wordsOf(link).
func In(page string) string {
	parts := strings.NewReplacer("{{enlarge.css}}\n", style, "{{enlarge.html}}\n", dialog, "{{enlarge.js}}\n", script)
	return parts.Replace(page)
}
