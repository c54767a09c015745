package metrics

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"captioner/weights/plural"
)

// DocumentFrequencies say in the references of how many images each n-gram stands, for a CIDEr-D that does not depend
// on the images being scored. As JSON they are {"images": 5000, "counts": {"a man": 1234, …}}.
type DocumentFrequencies struct {
	Images float64            `json:"images"` // how many images were counted
	Counts map[string]float64 `json:"counts"` // by n-gram (n up to 4), its words joined by one blank
}

// CountDocumentFrequencies tokenizes and counts the references of each image.
func CountDocumentFrequencies(refs [][]string) (*DocumentFrequencies, error) {
	hyps := make([]string, len(refs))
	c, err := NewCorpus(hyps, refs)
	if err != nil {
		return nil, err
	}
	d := &DocumentFrequencies{Images: float64(len(refs)), Counts: map[string]float64{}}
	logN := math.Log(d.Images)
	for id, text := range c.gramTexts() {
		d.Counts[text] = math.Round(math.Exp(logN - c.idf[id]))
	}
	return d, nil
}

// ReadDocumentFrequencies reads the JSON form.
func ReadDocumentFrequencies(r io.Reader) (*DocumentFrequencies, error) {
	var d DocumentFrequencies
	if err := json.NewDecoder(r).Decode(&d); err != nil {
		return nil, fmt.Errorf("read document frequencies: %w", err)
	}
	if !(d.Images >= 1) || len(d.Counts) == 0 {
		return nil, fmt.Errorf("read document frequencies: %v images, %d n-grams, want at least one of each", d.Images,
			len(d.Counts))
	}
	for gram, n := range d.Counts {
		if n < 0 || n > d.Images {
			return nil, fmt.Errorf("read document frequencies: %q in %v images, want 0 to %v", gram, n, d.Images)
		}
		if k := strings.Count(gram, " ") + 1; gram == "" || k > maxN {
			return nil, fmt.Errorf("read document frequencies: %q: want 1 to %s", gram, plural.Count(maxN, "word"))
		}
	}
	return &d, nil
}

// Write writes the JSON form.
func (d *DocumentFrequencies) Write(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(d); err != nil {
		return fmt.Errorf("write document frequencies: %w", err)
	}
	return nil
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
