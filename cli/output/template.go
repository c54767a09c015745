package output

import (
	"path/filepath"
	"strings"

	"captioner/cli/console"
	"captioner/models/captioner"
)

// Template is a text with places for what is known of an image: {caption}, {path}, {name}, {stem}, {dir}, {logprob},
// {confidence}, {model}, {uncertain} (that word, or nothing), {keywords} and {tags} (with commas between). {{ and }}
// stand for braces, \n and \t for a line end and a tab.
type Template []piece

// piece is a text, or the name of a field.
type piece struct {
	text  string
	field bool
}

// Fields are the names that a template may hold.
var Fields = []string{"caption", "path", "name", "stem", "dir", "logprob", "confidence", "model", "uncertain",
	"keywords", "tags"}

// ParseTemplate reads a template; "" is none.
func ParseTemplate(s string) (Template, error) {
	var t Template
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
		case strings.HasPrefix(s[i:], `\n`), strings.HasPrefix(s[i:], `\t`), strings.HasPrefix(s[i:], `\\`):
			text.WriteByte(map[byte]byte{'n': '\n', 't': '\t', '\\': '\\'}[s[i+1]])
			i++
		case s[i] == '{':
			name, _, closed := strings.Cut(s[i+1:], "}")
			if err := console.OneOf("--template {…}", name, Fields...); err != nil || !closed {
				return nil, console.Usagef("write {{ for a brace", "--template %q: found {%s at byte %d, want {%s}", s, name, i,
					strings.Join(Fields, "}, {"))
			}
			flush()
			t = append(t, piece{name, true})
			i += len(name) + 1
		case s[i] == '}':
			return nil, console.Usagef("write }} for a brace", "--template %q: found } at byte %d without its {", s, i)
		default:
			text.WriteByte(s[i])
		}
	}
	flush()
	return t, nil
}

// Render fills in what is known of an image and one of its captions.
func (t Template) Render(r *Result, model string, c captioner.Caption) string {
	var s strings.Builder
	path := r.Path
	for _, p := range t {
		if !p.field {
			s.WriteString(p.text)
			continue
		}
		switch p.text {
		case "caption":
			s.WriteString(c.Text)
		case "path":
			s.WriteString(path)
		case "name":
			s.WriteString(filepath.Base(path))
		case "stem":
			s.WriteString(stem(path))
		case "dir":
			s.WriteString(filepath.Dir(path))
		case "logprob":
			s.WriteString(decimal(c.LogProb))
		case "confidence":
			s.WriteString(decimal(c.Confidence))
		case "model":
			s.WriteString(model)
		case "keywords":
			s.WriteString(strings.Join(words(r.Caption), ", "))
		case "tags":
			s.WriteString(strings.Join(r.tagWords(), ", "))
		case "uncertain":
			if r.Uncertain(c) {
				s.WriteString("uncertain")
			}
		}
	}
	return s.String()
}
