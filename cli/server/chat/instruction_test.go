package chat

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/models/decode"
)

// What people and tools write is followed as far as a captioner can, and the rest is named.
func TestRead(t *testing.T) {
	long := decode.Request{MinLen: new(detailLen), LengthPenalty: new(1.5)}
	short := decode.Request{LengthPenalty: new(0.)}
	alt := decode.Request{Ban: []string{"picture of", "image of", "photo of", "photograph of"}}
	shortAlt := decode.Request{LengthPenalty: new(0.), Ban: alt.Ban}
	for text, c := range map[string]struct {
		want    decode.Request
		ignored []string
	}{
		"":                                    {},
		"Describe this image.":                {},
		"What's in this picture?":             {},
		"Please write a caption for my photo": {},
		"What do you see?":                    {},
		"Describe the image in detail.":       {want: long},
		"Give me a DETAILED description":      {want: long},
		"A short caption, please!":            {want: short},
		"Write concise alt-text":              {want: shortAlt},
		"alt text":                            {want: alt},
		"Short, then in detail":               {want: short},
		"Describe it as a pirate.":            {ignored: []string{"pirate"}},
		"How many dogs are there?":            {ignored: []string{"many dogs"}},
		"Avoid text formatting, meta-language, and filler words. Avoid text formatting.": {
			ignored: []string{"avoid", "formatting", "meta language", "filler words"},
		},
		"Antworte auf Deutsch. 日本語で": {ignored: []string{"antworte auf deutsch", "日本語で"}},
	} {
		got, ignored := Read(text)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q:\n%s", text, d)
		}
		if d := cmp.Diff(c.ignored, ignored); d != "" {
			t.Errorf("%q: ignored:\n%s", text, d)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is given back of a long instruction is bounded.
func TestReadIsBounded(t *testing.T) {
	if _, ignored := Read(strings.Repeat("odd"+strings.Repeat("x", 200)+". ", 50)); len(ignored) != 1 ||
		len([]rune(ignored[0])) != maxPhrase+1 {
		t.Errorf("the same long word: got %q", ignored)
	}
	var b strings.Builder
	for i := range 1000 {
		b.WriteString(strings.Repeat("q", i%90+1) + ". ")
	}
	if _, ignored := Read(b.String()); len(ignored) != maxIgnored {
		t.Errorf("many words: got %d, want %d", len(ignored), maxIgnored)
	}
}

// A longest caption that was asked for holds only where it is shorter than the model's own, and detail gives way to it.
func TestDecodeFitsTheLongest(t *testing.T) {
	for name, c := range map[string]struct {
		r              Request
		maxLen, minLen *int
	}{
		"nothing":               {Request{}, nil, nil},
		"more than the model's": {Request{MaxLen: 300}, nil, nil},
		"less":                  {Request{MaxLen: 5}, new(5), nil},
		"less, in detail":       {Request{MaxLen: 5, Text: "in detail"}, new(5), new(4)},
	} {
		got, _ := c.r.Decode(32)
		if !cmp.Equal(got.MaxLen, c.maxLen) || !cmp.Equal(got.MinLen, c.minLen) {
			t.Errorf("%s: got %s", name, cmp.Diff(c, got))
		}
	}
}

func TestImageURL(t *testing.T) {
	for url, want := range map[string]string{
		"data:image/png;base64,AAAA":   "",
		"data:;base64,AA==":            "",
		"https://example.org/a.jpg":    "",
		"HTTP://example.org/a.jpg":     "",
		"data:image/png,AAAA":          "without base64",
		"data:image/png;base64,?":      "character 1",
		"http:///a.jpg":                "with a host",
		"file:///etc/passwd":           "want data:",
		"ftp://example.org/a.jpg":      "want data:",
		"/etc/passwd":                  "want data:",
		"":                             "want data:",
		"gopher://127.0.0.1:70/_image": "want data:",
	} {
		_, err := ImageURL("url", url)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", url, err, want)
		}
	}
}
