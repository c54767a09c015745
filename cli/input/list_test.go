package input

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// endless gives the same bytes again and again.
type endless string

func (e endless) Read(b []byte) (int, error) {
	for n := 0; n < len(b); {
		n += copy(b[n:], e)
	}
	return len(b), nil
}

// Standard input that has no end is no list and no image, which is said soon.
func TestEndlessStandardInput(t *testing.T) {
	jpeg := "\xff\xd8\xff\xe0\x00\x10JFIF\x00"
	for _, tt := range []struct {
		name  string
		stdin io.Reader
		image bool
		want  string
	}{
		{"NULs as a list", endless("\x00"), false, "empty names in a row, want a list of paths"},
		{"empty lines", endless("\n"), false, "empty names in a row, want a list of paths"},
		{"one line", endless("a"), false, "bytes without an end of line, want a list of paths"},
		{"a second line", io.MultiReader(strings.NewReader("no.jpg\n"), endless("a")), false,
			"bytes without an end of line, want a list of paths"},
		{"NULs as an image", endless("\x00"), true, ""},
		{"NULs behind the beginning of one", io.MultiReader(strings.NewReader(jpeg), endless("\x00")), true,
			"more than 268435456 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.image && tt.want != "" {
				t.Skip("it reads 256 MB")
			}
			start := time.Now()
			in := Inputs{Args: []string{"-"}, Stdin: tt.stdin, Image: tt.image}
			var last error
			for i := range in.All() {
				if last = i.Err; i.Open != nil {
					b, err := i.Open(t.Context())
					if last = err; err == nil && len(b) > 1024 {
						t.Errorf("read %d bytes of no image", len(b))
					}
				}
			}
			switch {
			case tt.want == "" && last != nil:
				t.Errorf("got %v, want the beginning for the decoder to refuse", last)
			case tt.want != "" && (last == nil || !strings.Contains(last.Error(), tt.want)):
				t.Errorf("got %v, want an error with %q", last, tt.want)
			}
			t.Logf("ended after %v", time.Since(start))
		})
	}
}

// What is a list by the rules of lists is read as before: empty lines in it do not count, and an empty list is said.
func TestListsOfPaths(t *testing.T) {
	for stdin, want := range map[string]string{
		"a\n\n\nb\n":                        "a b",
		"a\x00b\x00":                        "a b",
		"\n\n" + strings.Repeat("c", 70000): strings.Repeat("c", 70000),
		"":                                  "note: an empty list",
		"\n\n":                              "note: an empty list",
	} {
		var got []string
		in := Inputs{Args: []string{"-"}, Stdin: bytes.NewBufferString(stdin),
			Note: func(how string) { got = append(got, "note: "+how) }}
		for i := range in.All() {
			if i.Err != nil {
				got = append(got, i.Err.Error())
				continue
			}
			got = append(got, i.Path)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%.20q: got %.100q, want %.100q", stdin, s, want)
		}
	}
}
