package flags

import (
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"predict", "train", "version", "beam-size"}
	for in, want := range map[string]string{"predct": "predict", "pretict": "predict", "rpedict": "predict",
		"trian": "train", "beamsize": "beam-size", "xyz": "", "": ""} {
		if got := Nearest(in, names); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
