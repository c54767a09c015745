package metrics

import "math"

const (
	ciderSigma = 6.0
	ciderScale = 10.0
)

// A vector is a caption as CIDEr sees it: the weight of each of its n-grams, and a norm for each n.
type vector struct {
	ids     []int32
	weights []float64
	norms   [maxN]float64
	length  int // bigrams, by which coco-caption measures the length
}

// vectorOf weighs the n-grams of one caption by count times (logN - log of the document frequency).
// idf holds the second factor by number. The tally must be empty and is left empty.
func vectorOf(v *vector, t *tally, grams []int32, order []uint8, idf []float64) {
	for _, id := range grams {
		t.add(id)
	}
	v.ids, v.weights, v.norms, v.length = v.ids[:0], v.weights[:0], [maxN]float64{}, 0
	for _, id := range t.used {
		n := order[id]
		count := t.count[id]
		w := float64(count) * idf[id]
		v.ids, v.weights = append(v.ids, id), append(v.weights, w)
		v.norms[n] += w * w
		if n == 1 {
			v.length += int(count)
		}
	}
	for n := range v.norms {
		v.norms[n] = math.Sqrt(v.norms[n])
	}
	t.clear()
}

// A similarity compares a hypothesis with one reference.
type similarity struct {
	clip    bool    // count no n-gram more often than the reference has it
	penalty bool    // times a Gaussian of the difference in length
	sigma   float64 // of that Gaussian
}

// ciderD is CIDEr-D, which coco-caption prints as CIDEr; ciderPlain is the measure as first published, without guards
// against captions that repeat themselves.
var (
	ciderD     = similarity{clip: true, penalty: true, sigma: ciderSigma}
	ciderPlain = similarity{}
)

// of returns the mean over n of the cosine of hyp and ref. weight holds hyp's weights by number.
func (s similarity) of(hyp, ref *vector, weight []float64, order []uint8) float64 {
	var dot [maxN]float64
	for i, id := range ref.ids {
		h, r := weight[id], ref.weights[i]
		if h == 0 {
			continue
		}
		if s.clip && h > r {
			h = r
		}
		dot[order[id]] += h * r
	}
	sum := 0.0
	for n, d := range dot {
		if hyp.norms[n] != 0 && ref.norms[n] != 0 {
			d /= hyp.norms[n] * ref.norms[n]
		}
		sum += d
	}
	if s.penalty {
		delta := float64(hyp.length - ref.length)
		sum *= math.Exp(-delta * delta / (2 * s.sigma * s.sigma))
	}
	return sum / maxN
}

// cider returns ten times the mean similarity of one caption to its references.
func (w *worker) cider(s similarity, hypGrams []int32, refGrams [][]int32, idf []float64) float64 {
	vectorOf(&w.hyp, &w.one, hypGrams, w.order, idf)
	for i, id := range w.hyp.ids {
		w.weight[id] = w.hyp.weights[i]
	}
	sum := 0.0
	for _, g := range refGrams {
		vectorOf(&w.ref, &w.one, g, w.order, idf)
		sum += s.of(&w.hyp, &w.ref, w.weight, w.order)
	}
	for _, id := range w.hyp.ids {
		w.weight[id] = 0
	}
	return sum / float64(len(refGrams)) * ciderScale
}
