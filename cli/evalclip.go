package cli

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"captioner/cli/console"
	"captioner/cli/published"
	"captioner/data"
	"captioner/data/image"
	"captioner/data/metrics"
	"captioner/models/clipscore"
	"captioner/weights/store"
)

// clipScorer scores with a CLIP. It sees each picture and reads each text once, however many systems are compared.
type clipScorer struct {
	model    *clipscore.Model
	name     string
	pictures map[int][]float32 // by the number of the example; nil where the picture cannot be read
	texts    map[string][]float32
	unseen   []string // ids of pictures that cannot be read
}

// openCLIP opens the CLIP that --clip names, where CLIPScore or RefCLIPScore is wanted.
func (e *evaluation) openCLIP(ctx context.Context) error {
	if e.o.CLIP == "" || !e.o.wants("clipscore") && !e.o.wants("refclipscore") {
		return nil
	}
	if e.set.Kind == data.KindLines || e.set.Kind == data.KindObject {
		return console.WithHint(fmt.Errorf("%q is %s, and names no pictures for --clip to look at", e.set.Path, e.set.Kind), "give captions with their pictures, and --images where these are elsewhere")
	}
	path, name := e.o.CLIP, filepath.Base(e.o.CLIP)
	if entry, err := store.Find(path); err == nil && !exists(path) {
		name = entry.Name
		if path, err = published.Fetch(ctx, e.con, name); err != nil {
			return err
		}
	}
	m, err := clipscore.Open(path, clipscore.Options{Device: e.o.Model.Device})
	if err != nil {
		return console.WithHint(err, "--clip takes a checkpoint with both towers, such as OpenAI's ViT-B-32.pt or a model.safetensors of Hugging Face")
	}
	e.clip = &clipScorer{model: m, name: name, pictures: map[int][]float32{}, texts: map[string][]float32{}}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// close releases the model of c, which may be nil. What it could tell of its memory map matters to nobody.
func (c *clipScorer) close() {
	if c != nil {
		c.model.Close()
	}
}

// add scores all pairs and adds the two measures to each.
func (c *clipScorer) add(ctx context.Context, e *evaluation, pairs []data.Pair, each *metrics.Each) error {
	if err := c.see(ctx, e, pairs); err != nil {
		return err
	}
	if err := c.read(ctx, pairs); err != nil {
		return err
	}
	scores, refScores := make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		scores[i], refScores[i] = math.NaN(), math.NaN()
		picture := c.pictures[p.Index]
		if picture == nil {
			continue
		}
		var refs [][]float32
		for _, r := range p.Example.Captions {
			refs = append(refs, c.texts[r])
		}
		scores[i], refScores[i] = clipscore.Score(picture, c.texts[p.Caption]), clipscore.RefScore(picture, c.texts[p.Caption], refs)
	}
	each.Others = append(each.Others, metrics.Other{Name: "CLIPScore", Values: scores}, metrics.Other{Name: "RefCLIPScore", Values: refScores})
	return nil
}

// see looks at the pictures that it has not seen yet.
func (c *clipScorer) see(ctx context.Context, e *evaluation, pairs []data.Pair) error {
	var todo []data.Pair
	for _, p := range pairs {
		if _, known := c.pictures[p.Index]; !known {
			todo = append(todo, p)
		}
	}
	told := console.NewProgress(e.con.Term, "pictures")
	defer told.Finish()
	told.Expect(int64(len(todo)))
	for len(todo) > 0 {
		part := todo[:min(e.o.BatchSize, len(todo))]
		todo = todo[len(part):]
		if err := c.seeSome(ctx, e, part); err != nil {
			return err
		}
		told.Add(int64(len(part)), 0)
	}
	return nil
}

func (c *clipScorer) seeSome(ctx context.Context, e *evaluation, part []data.Pair) error {
	o := image.DefaultOptions()
	o.Orient = !e.o.NoOrient
	prepared := make([]*image.RGB, len(part))
	failed := make([]error, len(part))
	var g errgroup.Group
	g.SetLimit(e.o.Workers)
	for i, p := range part {
		g.Go(func() error {
			m, err := loadExample(p.Example, o)
			if failed[i] = err; err == nil {
				prepared[i] = c.model.Prepare(m)
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
	if len(good) == 0 && len(c.pictures) == 0 { // and so it will go on
		return console.WithHint(fmt.Errorf("CLIPScore: none of the first %d pictures can be read: %w", len(part), failed[0]), "--images names the folder of the pictures")
	}
	seen, err := c.model.Pictures(ctx, good)
	if err != nil {
		return err
	}
	for i, p := range part {
		if prepared[i] == nil {
			e.con.Term.Fail(decodeHint(failed[i]))
			c.unseen, c.pictures[p.Index] = append(c.unseen, p.Example.ID), nil
			continue
		}
		c.pictures[p.Index], seen = seen[0], seen[1:]
	}
	return nil
}

// read makes vectors of the texts that it does not know yet.
func (c *clipScorer) read(ctx context.Context, pairs []data.Pair) error {
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
	vectors, err := c.model.Texts(ctx, todo)
	if err != nil {
		return err
	}
	for i, s := range todo {
		c.texts[s] = vectors[i]
	}
	return nil
}
