package clipscore

// weight stretches the cosines, which lie between 0 and 0.4 for OpenAI's models (section 3 of the paper).
const weight = 2.5

// Score is the CLIPScore of a caption, from vectors of unit length: 2.5 times its cosine with the image, 0 where that
// is negative.
func Score(image, caption []float32) float64 { return weight * max(Cosine(image, caption), 0) }

// RefScore is the RefCLIPScore: the harmonic mean of Score and of the highest cosine of the caption with a reference.
func RefScore(image, caption []float32, references [][]float32) float64 {
	best := 0.0
	for _, r := range references {
		best = max(best, Cosine(caption, r))
	}
	score := Score(image, caption)
	if score+best == 0 {
		return 0
	}
	return 2 * score * best / (score + best)
}

// Cosine is that of the angle between two vectors of unit length.
func Cosine(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}
