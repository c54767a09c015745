// Package tags ranks a list of tags for images: a CLIP makes a vector of each image and of each tag in a sentence, and
// what lies nearest to the image comes first (Radford et al. 2021, arXiv 2103.00020, section 3.1.4).
package tags

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"captioner/data/image"
	"captioner/data/keywords"
	"captioner/models/clipscore"
)

// Template is the sentence in which a tag stands, in the place of {}.
const Template = "a photo of {}"

// Tag is a tag of an image.
type Tag struct {
	Text       string
	Similarity float64 // cosine of the vectors of image and sentence, -1 to 1
}

// Ranker ranks tags. Its methods may be called from any goroutine.
type Ranker struct {
	Threshold float64 // tags below it are left out
	Most      int     // tags of an image

	model   *clipscore.Model
	tags    []string
	vectors [][]float32
}

// New makes the vectors of the tags, once. It owns the model.
func New(ctx context.Context, m *clipscore.Model, tags []string) (*Ranker, error) {
	sentences := make([]string, len(tags))
	for i, t := range tags {
		sentences[i] = strings.ReplaceAll(Template, "{}", t)
	}
	vectors, err := m.Sentences(ctx, sentences)
	if err != nil {
		return nil, fmt.Errorf("rank tags: %w", err)
	}
	return &Ranker{model: m, tags: tags, vectors: vectors}, nil
}

// CLIP is the SHA-256 of the file of the model.
func (r *Ranker) CLIP() string { return r.model.SHA256 }

// Close releases the model.
func (r *Ranker) Close() error { return r.model.Close() }

// Prepare makes of an image what Rank takes. It needs no tensors and may run on many goroutines.
func (r *Ranker) Prepare(img *image.RGB) *image.RGB { return r.model.Prepare(img) }

// Rank lists the tags of prepared images, the nearest first.
func (r *Ranker) Rank(ctx context.Context, imgs []*image.RGB) ([][]Tag, error) {
	near, err := r.similarities(ctx, imgs)
	if err != nil {
		return nil, err
	}
	all := make([][]Tag, len(imgs))
	for i, row := range near {
		for j, s := range row {
			if s >= r.Threshold {
				all[i] = append(all[i], Tag{r.tags[j], s})
			}
		}
		slices.SortStableFunc(all[i], func(a, b Tag) int { return cmp.Compare(b.Similarity, a.Similarity) })
		all[i] = all[i][:min(len(all[i]), r.Most)]
	}
	return all, nil
}

// similarities are those of all tags to prepared images.
func (r *Ranker) similarities(ctx context.Context, imgs []*image.RGB) ([][]float64, error) {
	vectors, err := r.model.Images(ctx, imgs)
	if err != nil {
		return nil, fmt.Errorf("rank tags: %w", err)
	}
	out := make([][]float64, len(imgs))
	for i, image := range vectors {
		for _, tag := range r.vectors {
			out[i] = append(out[i], clipscore.Cosine(image, tag))
		}
	}
	return out, nil
}

// Calibration is the threshold that tells best which tags people name, and how well: a tag is true of an image where
// one of its captions has all words of the tag, in dictionary form.
type Calibration struct {
	Threshold             float64
	Precision, Recall, F1 float64
	Images, True          int // images, and pairs of an image and a tag that is true of it
}

// Calibrator gathers images with captions.
type Calibrator struct {
	ranker *Ranker
	words  [][]string // of each tag
	points []point
	images int
}

// point is a pair of an image and a tag.
type point struct {
	near  float64
	named bool
}

// Calibrate begins a calibration.
func (r *Ranker) Calibrate() *Calibrator {
	c := &Calibrator{ranker: r}
	for _, t := range r.tags {
		c.words = append(c.words, keywords.Content(t))
	}
	return c
}

// Add takes prepared images, each with what people wrote about it.
func (c *Calibrator) Add(ctx context.Context, imgs []*image.RGB, captions [][]string) error {
	near, err := c.ranker.similarities(ctx, imgs)
	if err != nil {
		return err
	}
	for i, row := range near {
		c.images++
		var words [][]string
		for _, text := range captions[i] {
			words = append(words, keywords.Content(text))
		}
		for j, s := range row {
			c.points = append(c.points, point{s, names(words, c.words[j])})
		}
	}
	return nil
}

// names says whether one of the captions has all words of a tag.
func names(captions [][]string, tag []string) bool {
	return len(tag) > 0 && slices.ContainsFunc(captions, func(caption []string) bool {
		return !slices.ContainsFunc(tag, func(w string) bool { return !slices.Contains(caption, w) })
	})
}

// Best finds the threshold with the highest F1: the harmonic mean of the share of given tags that are true, and of the
// share of true tags that are given.
func (c *Calibrator) Best() Calibration {
	points := slices.Clone(c.points)
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(b.near, a.near) })
	best := Calibration{Threshold: 1, Images: c.images}
	for _, p := range points {
		if p.named {
			best.True++
		}
	}
	hits := 0
	for i, p := range points {
		if p.named {
			hits++
		}
		if i+1 < len(points) && points[i+1].near == p.near {
			continue
		}
		precision, recall := float64(hits)/float64(i+1), float64(hits)/float64(max(best.True, 1))
		if f := 2 * precision * recall / max(precision+recall, 1e-9); f > best.F1 {
			best.Threshold, best.Precision, best.Recall, best.F1 = p.near, precision, recall, f
		}
	}
	return best
}
