package console

import (
	"testing"
)

func FuzzUnescape(f *testing.F) {
	f.Add("a\tb\\n\x01")
	f.Fuzz(func(t *testing.T, s string) {
		if got := Unescape(Escape(s)); got != s {
			t.Errorf("%q: escaped %q, back %q", s, Escape(s), got)
		}
	})
}
