package output

import (
	"strings"
	"testing"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/models/captioner"
)

func TestTemplate(t *testing.T) {
	c := captioner.Caption{Text: "a dog", LogProb: -1.25, Confidence: 0.75}
	for in, want := range map[string]string{
		"{caption}":                           "a dog",
		"{stem}|{name}|{dir}|{path}":          "x|x.jpg|d|d/x.jpg",
		`{{{caption}}}\t{logprob}\n\\{model}`: "{a dog}\t-1.25\n\\m",
		"plain {confidence}":                  "plain 0.75",
		"{uncertain}":                         "uncertain",
	} {
		tpl, err := ParseTemplate(in)
		if got := tpl.Render(&Result{Input: input.Input{Path: "d/x.jpg"}, Least: 1}, "m", c); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"{", "}", "{caption", "{captions}", "{}", "{caption}}"} {
		if _, err := ParseTemplate(in); console.ExitCode(err) != console.ExitUsage {
			t.Errorf("%s: got %v, want a usage error", in, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{caption}", `{{x}} \n`, "{", `\`, "{path}{dir}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tpl, err := ParseTemplate(s)
		if err == nil && !strings.ContainsAny(s, `{}\`) && tpl.Render(&Result{}, "m", captioner.Caption{}) != s {
			t.Errorf("%q does not stay as it is", s)
		}
	})
}
