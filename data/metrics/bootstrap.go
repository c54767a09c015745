package metrics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"captioner/weights/plural"
)

// A Named is one measure of a corpus. Names are those of the machine-readable results: BLEU-1 to BLEU-4, ROUGE-L,
// CIDEr, CIDEr-D, CIDEr-plain and METEOR.
type Named struct {
	Name  string
	Value float64
}

// measureNames in the order of Scores.Values.
var measureNames = []string{"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr", "CIDEr-D", "CIDEr-plain",
	"METEOR"}

// values returns all measures in the order of their names; METEOR may be NaN.
func (s Scores) values() []float64 {
	return []float64{s.BLEU[0], s.BLEU[1], s.BLEU[2], s.BLEU[3], s.ROUGEL, s.CIDEr, s.CIDErD, s.CIDErPlain, s.METEOR}
}

// Values returns the measures by name; METEOR only where it was computed.
func (s Scores) Values() []Named {
	var out []Named
	for i, v := range s.values() {
		if !math.IsNaN(v) {
			out = append(out, Named{measureNames[i], v})
		}
	}
	return out
}

// values returns all measures of the captions with the given indices, all of them for nil, those of Others last.
func (e *Each) values(index []int32) []float64 {
	v := e.total(index).values()
	for _, o := range e.Others {
		v = append(v, o.total(index))
	}
	return v
}

// name is that of measure i of values.
func (e *Each) name(i int) string {
	if i < len(measureNames) {
		return measureNames[i]
	}
	return e.Others[i-len(measureNames)].Name
}

// Values returns the measures by name, those of Others last; METEOR only where it was computed.
func (e *Each) Values() []Named {
	var out []Named
	for i, v := range e.values(nil) {
		if !math.IsNaN(v) {
			out = append(out, Named{e.name(i), v})
		}
	}
	return out
}

// BootstrapOptions set up Bootstrap and Compare.
type BootstrapOptions struct {
	Resamples int     // how many corpora are drawn, 1000 by default
	Level     float64 // of the interval, 0.95 by default
	Seed      uint64  // equal seeds give equal results on any number of processors
}

// DefaultBootstrapOptions are 1000 resamples, 95 %, seed 0.
func DefaultBootstrapOptions() BootstrapOptions {
	return BootstrapOptions{Resamples: 1000, Level: 0.95}
}

func (o BootstrapOptions) validate() error {
	if o.Resamples < 1 || !(o.Level > 0 && o.Level < 1) {
		return fmt.Errorf("bootstrap: %d resamples at level %v, want 1 or more between 0 and 1", o.Resamples, o.Level)
	}
	return nil
}

// An Interval is a measure with its confidence interval.
type Interval struct {
	Name             string
	Value, Low, High float64
}

// Bootstrap returns each measure with its percentile interval over corpora of the same size drawn with replacement.
// Document frequencies stay those of the whole corpus.
func (e *Each) Bootstrap(o BootstrapOptions) ([]Interval, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	n := len(e.Stats)
	whole := e.values(nil)
	drawn := make([][]float64, o.Resamples)
	parallelEach(o.Resamples, func(b int) {
		drawn[b] = e.values(draw(n, o.Seed, b))
	})
	var out []Interval
	column := make([]float64, o.Resamples)
	for i, v := range whole {
		if math.IsNaN(v) {
			continue
		}
		for b := range drawn {
			column[b] = drawn[b][i]
		}
		low, high := percentiles(column, o.Level)
		out = append(out, Interval{e.name(i), v, low, high})
	}
	return out, nil
}

// A Difference compares two systems on the same images. Delta is B minus A.
type Difference struct {
	Name        string
	A, B, Delta float64
	Low, High   float64 // interval of Delta
	P           float64 // two-sided probability of so large a difference if the systems were alike
}

// Compare tests by the paired bootstrap whether b differs from a; both must have been scored on the same images in the
// same order. P is the share of resamples whose difference is as far from the mean resampled difference as the measured
// one is from zero, never below 1/(Resamples+1).
func Compare(a, b *Each, o BootstrapOptions) ([]Difference, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	n := len(a.Stats)
	if n != len(b.Stats) {
		return nil, fmt.Errorf("compare systems: %d and %s, want as many of the same images", n, plural.Count(len(b.Stats),
			"caption"))
	}
	va, vb := a.values(nil), b.values(nil)
	if len(va) != len(vb) {
		return nil, fmt.Errorf("compare systems: %d and %d measures, want the same", len(va), len(vb))
	}
	drawn := make([][]float64, o.Resamples)
	parallelEach(o.Resamples, func(i int) {
		index := draw(n, o.Seed, i)
		x, y := a.values(index), b.values(index)
		for k := range y {
			y[k] -= x[k]
		}
		drawn[i] = y
	})
	var out []Difference
	column := make([]float64, o.Resamples)
	for k := range va {
		delta := vb[k] - va[k]
		if math.IsNaN(delta) {
			continue
		}
		for i := range drawn {
			column[i] = drawn[i][k]
		}
		m := mean(column)
		extreme := 1
		for _, d := range column {
			if math.Abs(d-m) >= math.Abs(delta) {
				extreme++
			}
		}
		low, high := percentiles(column, o.Level)
		out = append(out, Difference{a.name(k), va[k], vb[k], delta, low, high, float64(extreme) / float64(o.Resamples+1)})
	}
	return out, nil
}

// draw returns n indices below n; the same for equal seed and number.
func draw(n int, seed uint64, number int) []int32 {
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	out := make([]int32, n)
	for i := range out {
		out[i] = r.Int32N(int32(n))
	}
	return out
}

// percentiles returns the bounds of the central part of the values, which it sorts.
func percentiles(x []float64, level float64) (low, high float64) {
	slices.Sort(x)
	at := func(q float64) float64 {
		p := q * float64(len(x)-1)
		i := int(p)
		if i+1 >= len(x) {
			return x[len(x)-1]
		}
		return x[i] + (p-float64(i))*(x[i+1]-x[i])
	}
	return at((1 - level) / 2), at((1 + level) / 2)
}
