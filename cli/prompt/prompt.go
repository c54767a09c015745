// Package prompt fills in prompts that hold places for what is known of an image: "a photo of {stem}, {city}".
package prompt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Names are the variables.
var Names = []string{"stem", "dir", "keywords", "date", "location", "city", "state", "country"}

// Template is a prompt with variables.
type Template []piece

// piece is a text, or the name of a variable.
type piece struct {
	text     string
	variable bool
}

// Error says what is wrong with a template.
type Error struct{ Text, Found, Want string }

func (e *Error) Error() string {
	return fmt.Sprintf("prompt %q: found %s, want %s", e.Text, e.Found, e.Want)
}

// Hint says how braces are written.
func (e *Error) Hint() string { return "write {{ and }} for braces" }

// Parse reads a template. {{ and }} stand for braces.
func Parse(s string) (t Template, err error) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			t = append(t, piece{text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "{{"), strings.HasPrefix(s[i:], "}}"):
			text.WriteByte(s[i])
			i++
		case s[i] == '}':
			return nil, &Error{s, "} without its {", "}}"}
		case s[i] == '{':
			name, _, closed := strings.Cut(s[i+1:], "}")
			if !closed || !slices.Contains(Names, name) {
				found := fmt.Sprintf("{%.40s}", name)
				return nil, &Error{s, found, "one of {" + strings.Join(Names, "}, {") + "}"}
			}
			flush()
			t = append(t, piece{name, true})
			i += len(name) + 1
		default:
			text.WriteByte(s[i])
		}
	}
	flush()
	return t, nil
}

// Variable says whether the template holds any variable.
func (t Template) Variable() bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.variable })
}

// preposition is one that leads to what comes next.
var preposition = regexp.MustCompile(`(?i)(^|\s)(in|at|on|from|near|of|by|with|for|to)\s*$`)

// tidies mend what a missing value leaves behind, in this order.
var tidies = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\(\s*[,;]?\s*\)|\[\s*\]|"\s*"`), ""},
	{regexp.MustCompile(`\s+([,;:.!?)])`), "$1"},
	{regexp.MustCompile(`[,;](\s*[,;:.])+`), "$1"},
	{regexp.MustCompile(`^[\s,;:]+|[\s,;]+$`), ""},
	{regexp.MustCompile(`\s{2,}`), " "},
}

// Expand fills in what is known of an image: values by the name of their variable. What is not known is left out, with
// a preposition before it and the marks around it.
func (t Template) Expand(values map[string]string) string {
	var s string
	missing := false
	for _, p := range t {
		value := p.text
		if p.variable {
			value = strings.TrimSpace(values[p.text])
			if value == "" {
				missing, s = true, preposition.ReplaceAllString(s, "$1")
				continue
			}
		}
		s += value
	}
	if missing {
		for _, x := range tidies {
			s = x.find.ReplaceAllString(s, x.with)
		}
	}
	return s
}
