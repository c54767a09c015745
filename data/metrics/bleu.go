package metrics

import "math"

// BLEUStats is what BLEU needs to know of one caption, or, added up, of a corpus.
type BLEUStats struct {
	Length, RefLength int       // words of the hypothesis, and of the reference that it is measured against
	Correct, Guess    [maxN]int // n-grams found in a reference, clipped to the largest count in one; n-grams in all
}

// Add adds the counts of another caption.
func (s *BLEUStats) Add(o BLEUStats) {
	s.Length += o.Length
	s.RefLength += o.RefLength
	for n := range s.Correct {
		s.Correct[n] += o.Correct[n]
		s.Guess[n] += o.Guess[n]
	}
}

// BLEU returns BLEU-1 to BLEU-4 as coco-caption computes them, from 0 to 1. Its small constants make a caption without
// any match score a little more than zero instead of failing.
func (s BLEUStats) BLEU() [maxN]float64 {
	const small, tiny = 1e-9, 1e-15
	var out [maxN]float64
	product := 1.0
	for n := range out {
		product *= (float64(s.Correct[n]) + tiny) / (float64(s.Guess[n]) + small)
		out[n] = math.Pow(product, 1/float64(n+1))
	}
	if ratio := (float64(s.Length) + tiny) / (float64(s.RefLength) + small); ratio < 1 {
		for n := range out {
			out[n] *= math.Exp(1 - 1/ratio)
		}
	}
	return out
}

// HFBLEU returns BLEU-4 as TensorFlow's translation tutorial, and after it Hugging Face, compute it: zero when any
// precision is zero, no constants. RefLength must be the sum of the shortest references.
func (s BLEUStats) HFBLEU() float64 {
	logs := 0.0
	for n := range s.Correct {
		if s.Correct[n] == 0 || s.Guess[n] == 0 {
			return 0
		}
		logs += math.Log(float64(s.Correct[n])/float64(s.Guess[n])) / maxN
	}
	score := math.Exp(logs)
	if ratio := float64(s.Length) / float64(s.RefLength); ratio <= 1 {
		score *= math.Exp(1 - 1/ratio)
	}
	return score
}

// A refLength chooses the length that a hypothesis is measured against.
type refLength func(hyp int, refs [][]int32) int

// closest is the length nearest to the hypothesis', the shorter of two that are equally near.
func closest(hyp int, refs [][]int32) int {
	best, diff := 0, math.MaxInt
	for _, r := range refs {
		d := len(r) - hyp
		if d < 0 {
			d = -d
		}
		if d < diff || d == diff && len(r) < best {
			best, diff = len(r), d
		}
	}
	return best
}

// shortest is the length of the shortest reference.
func shortest(_ int, refs [][]int32) int {
	best := math.MaxInt
	for _, r := range refs {
		best = min(best, len(r))
	}
	return best
}

// bleuStats counts one caption. hypGrams and refGrams hold the numbers of all n-grams, order their n-1.
func (w *worker) bleuStats(
	hyp []int32, refs [][]int32, hypGrams []int32, refGrams [][]int32, length refLength,
) BLEUStats {
	s := BLEUStats{Length: len(hyp), RefLength: length(len(hyp), refs)}
	for n := range s.Guess {
		s.Guess[n] = max(0, len(hyp)-n)
	}
	// w.best becomes the largest count of each n-gram in one reference.
	for _, g := range refGrams {
		for _, id := range g {
			w.one.add(id)
		}
		for _, id := range w.one.used {
			if c := w.one.count[id]; c > w.best.count[id] {
				if w.best.count[id] == 0 {
					w.best.used = append(w.best.used, id)
				}
				w.best.count[id] = c
			}
		}
		w.one.clear()
	}
	for _, id := range hypGrams {
		if w.best.count[id] > 0 {
			w.best.count[id]--
			s.Correct[w.order[id]]++
		}
	}
	w.best.clear()
	return s
}
