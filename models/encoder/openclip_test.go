package encoder

import (
	"encoding/json"
	"strings"
	"testing"

	"captioner/data/image"
)

func TestOpenCLIPImages(t *testing.T) {
	plain := image.Preprocess{Size: 32, Fit: image.FitCrop, Mean: [3]float64{1, 2, 3}, Std: [3]float64{4, 5, 6}}
	with := func(change func(p *image.Preprocess)) image.Preprocess {
		p := plain
		change(&p)
		return p
	}
	for _, c := range []struct {
		settings string
		want     image.Preprocess
		refuse   string
	}{
		{settings: `{}`, want: plain},
		{settings: `{"mean": null, "size": [64, 64], "mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest"}`,
			want: plain},
		{settings: `{"mean": [0, 0.5, 1]}`,
			want: with(func(p *image.Preprocess) { p.Mean = [3]float64{0, 127.5, 255} })},
		{settings: `{"std": 0.2}`, want: with(func(p *image.Preprocess) { p.Std = [3]float64{51, 51, 51} })},
		{settings: `{"interpolation": "bilinear"}`,
			want: with(func(p *image.Preprocess) { p.Filter = image.FilterLinear })},
		{settings: `{"resize_mode": "squash"}`, want: with(func(p *image.Preprocess) { p.Fit = image.FitSquash })},
		{settings: `{"mean": [0.5]}`, refuse: "mean [0.5]"},
		{settings: `{"std": "wide"}`, refuse: `std "wide"`},
		{settings: `{"interpolation": "random"}`, want: plain},
		{settings: `{"interpolation": "nearest"}`, refuse: `interpolation "nearest"`},
		{settings: `{"resize_mode": "longest"}`, refuse: `resize_mode "longest"`},
	} {
		t.Run(c.settings, func(t *testing.T) {
			var o OpenCLIPImages
			if err := json.Unmarshal([]byte(c.settings), &o); err != nil {
				t.Fatal(err)
			}
			got := Config{Preprocess: plain}
			err := o.Apply(&got)
			switch {
			case c.refuse != "" && (err == nil || !strings.Contains(err.Error(), c.refuse)):
				t.Errorf("got %v, want an error about %s", err, c.refuse)
			case c.refuse == "" && (err != nil || got.Preprocess != c.want):
				t.Errorf("got %+v and %v, want %+v", got.Preprocess, err, c.want)
			}
		})
	}
}
