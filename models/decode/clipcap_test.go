package decode

import (
	"cmp"
	"slices"
	"testing"
)

// clipCapOriginal is ClipCap's generate_beam, written down from its source without any of Run's machinery.
func clipCapOriginal(f *fake, o Options) []int32 {
	type beam struct {
		ids     []int32
		log     float32
		length  float32
		stopped bool
	}
	beams := []beam{{ids: []int32{o.BOS}}} // the first row of the fake
	for step := range o.MaxLen {
		var all []beam
		for _, b := range beams {
			if b.stopped {
				all = append(all, b)
				continue
			}
			ids, logs := f.best(fakeRow{0, b.ids}, o.Beam, nil)
			for i, id := range ids {
				all = append(all, beam{append(slices.Clone(b.ids), id), b.log + logs[i], b.length + 1, id == o.EOS})
			}
		}
		mean := func(b beam) float32 { return b.log / b.length }
		var means []float32
		for _, b := range all {
			means = append(means, mean(b))
		}
		beams = nil
		for _, i := range topK(means, o.Beam) {
			b := all[i]
			b.log = mean(b) * b.length
			beams = append(beams, b)
		}
		if !slices.ContainsFunc(beams, func(b beam) bool { return !b.stopped }) || step == o.MaxLen-1 {
			break
		}
	}
	slices.SortStableFunc(beams, func(a, b beam) int { return cmp.Compare(b.log/b.length, a.log/a.length) })
	return beams[0].ids[1:]
}

func TestClipCapIsItsOriginal(t *testing.T) {
	o := clipDecoderOptions()
	o.Rule = ClipCap
	images := make([]int, 40)
	for i := range images {
		images[i] = i
	}
	finished := 0
	for o.Beam = 1; o.Beam <= 5; o.Beam++ {
		for i, h := range mustRun(t, newFake(t, 7, images...), o) {
			if want := clipCapOriginal(newFake(t, 7, i), o); !slices.Equal(h[0].Tokens, want) {
				t.Errorf("beam %d, image %d: got %v, want %v", o.Beam, i, h[0].Tokens, want)
			}
			if h[0].Finished {
				finished++
			}
		}
	}
	if finished == 0 || finished == 5*len(images) {
		t.Errorf("%d of %d captions finished, want some of both", finished, 5*len(images))
	}
}
