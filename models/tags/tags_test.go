package tags

import (
	"math"
	"testing"

	"captioner/data/keywords"
)

// TestBest finds the threshold on numbers that can be checked by hand.
func TestBest(t *testing.T) {
	for name, test := range map[string]struct {
		points []point
		want   Calibration
	}{
		"told apart": {[]point{{.3, true}, {.1, false}, {.28, true}, {.2, false}},
			Calibration{Threshold: .28, Precision: 1, Recall: 1, F1: 1, True: 2}},
		"one too high": {[]point{{.4, false}, {.3, true}, {.2, true}, {.1, false}},
			Calibration{Threshold: .2, Precision: 2. / 3, Recall: 1, F1: .8, True: 2}},
		"alike": {[]point{{.3, true}, {.3, false}, {.1, false}},
			Calibration{Threshold: .3, Precision: .5, Recall: 1, F1: 2. / 3, True: 1}},
		"none true": {[]point{{.3, false}}, Calibration{Threshold: 1}},
	} {
		got := (&Calibrator{points: test.points}).Best()
		for _, pair := range [][2]float64{{got.Threshold, test.want.Threshold}, {got.Precision, test.want.Precision},
			{got.Recall, test.want.Recall}, {got.F1, test.want.F1}, {float64(got.True), float64(test.want.True)}} {
			if math.Abs(pair[0]-pair[1]) > 1e-9 {
				t.Errorf("%s: got %+v, want %+v", name, got, test.want)
				break
			}
		}
	}
}

func TestNames(t *testing.T) {
	captions := [][]string{keywords.Content("Two dogs run on the beach"), keywords.Content("a red ball")}
	for tag, want := range map[string]bool{"dog": true, "Dogs": true, "running dog": true, "red dog": false, "ball": true,
		"photo": false, "cat": false} {
		if got := names(captions, keywords.Content(tag)); got != want {
			t.Errorf("%q: got %v, want %v", tag, got, want)
		}
	}
}
