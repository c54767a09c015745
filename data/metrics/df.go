package metrics

import "math"

// DocumentFrequencies say in the references of how many images each n-gram stands, for a CIDEr-D that does not depend
// on the images being scored.
type DocumentFrequencies struct {
	Images float64            // how many images were counted
	Counts map[string]float64 // by n-gram, its words joined by one blank
}

// weights returns the weight of each of the corpus' n-grams.
func (d *DocumentFrequencies) weights(c *Corpus) []float64 {
	out := make([]float64, len(c.table.order))
	logN := math.Log(d.Images)
	for id, text := range c.gramTexts() {
		out[id] = logN - math.Log(max(1, d.Counts[text]))
	}
	return out
}
