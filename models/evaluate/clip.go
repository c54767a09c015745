package evaluate

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"captioner/data"
	"captioner/data/image"
	"captioner/data/metrics"
	"captioner/data/predictions"
	"captioner/models/clipscore"
	"captioner/weights/plural"
)

// CLIP adds CLIPScore and RefCLIPScore to the measures. It looks at each image and reads each text once, however many
// systems are scored.
type CLIP struct {
	Model   *clipscore.Model
	Name    string
	Batch   int // images that go through the model together
	Workers int // that decode images
	Image   image.Options
	Failed  func(error)           // told why an image cannot be read
	Done    func(batch, left int) // told of each batch of images, and how many are left
	Unread  []string              // ids of images that cannot be read
	images  map[int][]float32     // by the number of the example; nil where the image cannot be read
	texts   map[string][]float32
}

// UnreadableError says that none of the first images can be read, so that there is nothing to score by CLIP.
type UnreadableError struct {
	Images int
	First  error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("CLIPScore: none of the first %s can be read: %v", plural.Count(e.Images, "image"), e.First)
}

func (e *UnreadableError) Unwrap() error { return e.First }

// Hint says what may help.
func (e *UnreadableError) Hint() string { return "--images names the folder of the images" }

// Close releases the model of c, which may be nil. What it could tell of its memory map matters to nobody.
func (c *CLIP) Close() {
	if c != nil {
		c.Model.Close()
	}
}

// Mismatch is the images that CLIP could not be shown.
func (c *CLIP) Mismatch() Mismatch {
	return Mismatch{
		"unseen", c.Unread,
		"image cannot be read: left out of CLIPScore",
		"images cannot be read: left out of CLIPScore",
	}
}

// add scores all pairs and adds the two measures to each.
func (c *CLIP) add(ctx context.Context, pairs []predictions.Pair, each *metrics.Each) error {
	if c.images == nil {
		c.images, c.texts = map[int][]float32{}, map[string][]float32{}
	}
	if err := c.look(ctx, pairs); err != nil {
		return err
	}
	if err := c.read(ctx, pairs); err != nil {
		return err
	}
	scores, refScores := make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		scores[i], refScores[i] = math.NaN(), math.NaN()
		vector := c.images[p.Index]
		if vector == nil {
			continue
		}
		var refs [][]float32
		for _, r := range p.Example.Captions {
			refs = append(refs, c.texts[r])
		}
		scores[i] = clipscore.Score(vector, c.texts[p.Caption])
		refScores[i] = clipscore.RefScore(vector, c.texts[p.Caption], refs)
	}
	each.Others = append(each.Others, metrics.Other{Name: "CLIPScore", Values: scores},
		metrics.Other{Name: "RefCLIPScore", Values: refScores})
	return nil
}

// look makes vectors of the images that it has not looked at yet.
func (c *CLIP) look(ctx context.Context, pairs []predictions.Pair) error {
	var todo []predictions.Pair
	for _, p := range pairs {
		if _, known := c.images[p.Index]; !known {
			todo = append(todo, p)
		}
	}
	c.Done(0, len(todo))
	for len(todo) > 0 {
		batch := todo[:min(c.Batch, len(todo))]
		todo = todo[len(batch):]
		if err := c.lookAt(ctx, batch); err != nil {
			return err
		}
		c.Done(len(batch), len(todo))
	}
	return nil
}

func (c *CLIP) lookAt(ctx context.Context, batch []predictions.Pair) error {
	prepared := make([]*image.RGB, len(batch))
	failed := make([]error, len(batch))
	var g errgroup.Group
	g.SetLimit(c.Workers)
	for i, p := range batch {
		g.Go(func() error {
			m, err := LoadImage(p.Example, c.Image)
			if failed[i] = err; err == nil {
				prepared[i] = c.Model.Prepare(m)
			}
			return nil
		})
	}
	g.Wait()
	var good []*image.RGB
	for _, m := range prepared {
		if m != nil {
			good = append(good, m)
		}
	}
	if len(good) == 0 && len(c.images) == 0 { // and so it will go on
		return &UnreadableError{len(batch), failed[0]}
	}
	vectors, err := c.Model.Images(ctx, good)
	if err != nil {
		return err
	}
	for i, p := range batch {
		if prepared[i] == nil {
			c.Failed(failed[i])
			c.Unread, c.images[p.Index] = append(c.Unread, p.Example.ID), nil
			continue
		}
		c.images[p.Index], vectors = vectors[0], vectors[1:]
	}
	return nil
}

// read makes vectors of the texts that it does not know yet.
func (c *CLIP) read(ctx context.Context, pairs []predictions.Pair) error {
	var todo []string
	want := func(s string) {
		if _, known := c.texts[s]; !known {
			c.texts[s] = nil
			todo = append(todo, s)
		}
	}
	for _, p := range pairs {
		want(p.Caption)
		for _, r := range p.Example.Captions {
			want(r)
		}
	}
	vectors, err := c.Model.Texts(ctx, todo)
	if err != nil {
		return err
	}
	for i, s := range todo {
		c.texts[s] = vectors[i]
	}
	return nil
}

// LoadImage decodes an example's image, out of an archive where it is in one.
func LoadImage(x data.Example, o image.Options) (*image.RGB, error) {
	if x.Archive == "" {
		if x.Path == "" {
			return nil, fmt.Errorf("image %q: the data set does not say where it is", x.ID)
		}
		return image.DecodeFile(x.Path, o)
	}
	b, err := x.Bytes()
	if err != nil {
		return nil, err
	}
	m, err := image.Decode(b, o)
	if err != nil {
		return nil, fmt.Errorf("decode %q: %w", x.Name(), err)
	}
	return m, nil
}
