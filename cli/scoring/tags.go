package scoring

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"captioner/cli/captioning"
	"captioner/cli/console"
	"captioner/cli/tagging"
	"captioner/data"
	"captioner/data/image"
	"captioner/models/evaluate"
	"captioner/models/tags"
	"captioner/weights/plural"
)

// tagScores are what eval --tags finds, for JSON.
type tagScores struct {
	Threshold console.Rounded `json:"threshold"`
	Precision console.Rounded `json:"precision"`
	Recall    console.Rounded `json:"recall"`
	F1        console.Rounded `json:"f1"`
	Images    int             `json:"images"`
	True      int             `json:"true_pairs"`
	CLIP      string          `json:"clip"`
	Template  string          `json:"template"`
}

// calibrate finds the threshold of --tags that tells best which tags people name in their captions of a data set.
func calibrate(ctx context.Context, con *console.Console, o *Options) error {
	set, err := data.Open(o.Data, o.Images)
	if err != nil {
		return err
	}
	examples, err := data.Collect(set.Source)
	if err != nil {
		return err
	}
	r, _, err := tagging.Open(ctx, con, tagging.Options{File: o.Tags, CLIP: o.CLIP, Activation: o.CLIPActivation}, o.Model)
	if err != nil {
		return err
	}
	defer r.Close()
	c := calibration{con: con, o: o, ranker: r, all: r.Calibrate(), progress: console.NewProgress(con.Term, "image")}
	c.progress.Expect(int64(len(examples)))
	for len(examples) > 0 && err == nil {
		n := min(o.BatchSize, len(examples))
		err = c.batch(ctx, examples[:n])
		examples = examples[n:]
	}
	c.progress.Finish()
	if err != nil {
		return err
	}
	return c.print()
}

// calibration is a run of calibrate.
type calibration struct {
	con      *console.Console
	o        *Options
	ranker   *tags.Ranker
	all      *tags.Calibrator
	progress *console.Progress
	failed   int
}

func (c *calibration) batch(ctx context.Context, examples []data.Example) error {
	if ctx.Err() != nil {
		return console.ErrInterrupted
	}
	prepared, failed := make([]*image.RGB, len(examples)), make([]error, len(examples))
	o := image.DefaultOptions()
	o.Orient = !c.o.NoOrient
	var g errgroup.Group
	g.SetLimit(c.o.Workers)
	for i, x := range examples {
		g.Go(func() error {
			img, err := evaluate.LoadImage(x, o)
			if failed[i] = err; err == nil {
				prepared[i] = c.ranker.Prepare(img)
			}
			return nil
		})
	}
	g.Wait()
	var imgs []*image.RGB
	var captions [][]string
	for i, img := range prepared {
		if img == nil {
			c.con.Term.Fail(captioning.Hint(failed[i]))
			c.failed++
			continue
		}
		imgs, captions = append(imgs, img), append(captions, examples[i].Captions)
	}
	c.progress.Add(int64(len(imgs)), int64(len(examples)-len(imgs)))
	if len(imgs) == 0 {
		return nil
	}
	return c.all.Add(ctx, imgs, captions)
}

func (c *calibration) print() error {
	best := c.all.Best()
	if best.True == 0 {
		return fmt.Errorf("none of the tags stands in a caption of the %s: there is nothing to calibrate by",
			plural.Count(best.Images, "image"))
	}
	var err error
	if c.con.Options.JSON {
		err = console.WriteJSON(c.con.Stdout, tagScores{console.Rounded(best.Threshold), console.Rounded(best.Precision),
			console.Rounded(best.Recall), console.Rounded(best.F1), best.Images, best.True, c.ranker.CLIP(), tags.Template})
	} else {
		const text = "--tag-threshold %.4f\nprecision %.3f, recall %.3f, F1 %.3f over %s and %s of an image and a tag\n"
		err = c.con.Printf(text, best.Threshold, best.Precision, best.Recall, best.F1,
			plural.Count(best.Images, "image"), plural.Count(best.True, "pair"))
	}
	if err == nil && c.failed > 0 {
		return console.ErrSome
	}
	return err
}
