package prompt_test

import (
	"errors"
	"testing"

	"captioner/cli/prompt"
)

func TestExpand(t *testing.T) {
	all := map[string]string{"stem": "dog", "dir": "beach", "city": "Rome", "country": "Italy", "date": "2021-06-05",
		"keywords": "sea, sand"}
	tests := []struct {
		template string
		values   map[string]string
		want     string
	}{
		{"a photo of", all, "a photo of"},
		{"  kept  as it is ,", nil, "  kept  as it is ,"},
		{"a photo of {stem} in {city}, {country}", all, "a photo of dog in Rome, Italy"},
		{"a photo of {stem} in {city}, {country}", map[string]string{"stem": "dog"}, "a photo of dog"},
		{"a {stem} in {city}, {country}", map[string]string{"stem": "dog", "country": "Italy"}, "a dog, Italy"},
		{"{city}: {keywords}", all, "Rome: sea, sand"},
		{"{city}: {keywords}", map[string]string{"keywords": "sea"}, "sea"},
		{"{city}: {keywords}", nil, ""},
		{"a photo ({date}) from {dir}:", map[string]string{"dir": "beach"}, "a photo from beach:"},
		{"a photo from {dir}: it", nil, "a photo: it"},
		{"{{city}} {stem}", all, "{city} dog"},
		{"{stem}", map[string]string{"stem": "{city}"}, "{city}"},
	}
	for _, test := range tests {
		p, err := prompt.Parse(test.template)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Expand(test.values); got != test.want {
			t.Errorf("%q: got %q, want %q", test.template, got, test.want)
		}
	}
	for _, bad := range []string{"{", "}", "{town}", "{stem", "{}", "a } b"} {
		var wrong *prompt.Error
		if _, err := prompt.Parse(bad); !errors.As(err, &wrong) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
