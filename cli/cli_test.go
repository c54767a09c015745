package cli

import (
	"bytes"
	"strings"
	"testing"

	"captioner/cli/flags"
)

func TestArrange(t *testing.T) {
	app := newProgram(nil, nil, &bytes.Buffer{}).newApp()
	for _, tc := range []struct{ in, want string }{
		{"captioner", "captioner"},
		{"captioner predict a b", "captioner predict -- a b"},
		{"captioner predict a --beam 3 b", "captioner predict --beam 3 -- a b"},
		{"captioner predict a --beam=3 -q b", "captioner predict --beam=3 -q -- a b"},
		{"captioner predict a --length-penalty -1", "captioner predict --length-penalty -1 -- a"},
		{"captioner -q --model m predict a", "captioner predict -q --model m -- a"},
		{"captioner predict - -q", "captioner predict -q -- -"},
		{"captioner predict -q -- -a --beam", "captioner predict -q -- -a --beam"},
		{"captioner weights inspect a --json", "captioner weights inspect --json -- a"},
		{"captioner help weights", "captioner weights --help"},
		{"captioner predict predict", "captioner predict -- predict"},
		{"captioner --version", "captioner --version"},
	} {
		got, err := flags.Arrange(app, strings.Fields(tc.in))
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %q, %v, want %q", tc.in, got, err, tc.want)
		}
	}
	for in, want := range map[string]string{
		"captioner predict a --device":      "--device needs a value",
		"captioner predict a -o":            "-o needs a value",
		"captioner -q weights":              `weights: which one of list, fetch, convert, inspect, average, verify?`,
		"captioner --data x predict a":      `unknown flag "--data"`,
		"captioner weights inspct":          `unknown command "weights inspct"`,
		"captioner predict --no-such-thing": `unknown flag "--no-such-thing"`,
	} {
		if _, err := flags.Arrange(app, strings.Fields(in)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}
