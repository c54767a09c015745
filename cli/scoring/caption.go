package scoring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"captioner/cli/captioning"
	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/data"
	"captioner/data/image"
	"captioner/data/predictions"
	"captioner/models/decode"
	"captioner/models/evaluate"
	"captioner/weights/atomicfile"
)

// captioned says how predictions were made.
type captioned struct {
	model, checksum string
	options         decode.Options
	failed          int
	results         []*output.Result
	ids             []string // of the results
}

// caption makes predictions for all images that have references, as predict does. Images that cannot be read are
// reported one by one.
func (e *evaluation) caption(ctx context.Context) (*predictions.Set, error) {
	if e.scorer.Set.Kind == predictions.KindLines || e.scorer.Set.Kind == predictions.KindObject {
		err := fmt.Errorf("%q is %s, and names no images to caption", e.scorer.Set.Path, e.scorer.Set.Kind)
		return nil, console.WithHint(err, "give --predictions, or as --data captions with their images")
	}
	m, err := model.Open(ctx, e.con, e.o.load, e.o.Model)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	options, err := e.o.Decode.Apply(m)
	if err != nil {
		return nil, err
	}
	c := &captioned{model: m.Name(), options: options}
	if c.checksum, err = m.Checksum(); err != nil {
		return nil, err
	}
	pipe := captioning.Pipeline{Captioner: m, Image: image.DefaultOptions()}
	pipe.Options, pipe.Workers, pipe.Batch, pipe.Patient = options, e.o.Workers, e.o.BatchSize, time.Second
	pipe.Image.Orient = !e.o.NoOrient
	load := func(in input.Input) (*image.RGB, error) { return e.load(in, pipe.Image) }
	set := &predictions.Set{File: c.model, Kind: data.KindRecords}
	progress := console.NewProgress(e.con.Term, "image")
	from, to := e.group.Share(len(e.scorer.Examples))
	progress.Expect(int64(to - from))
	err = pipe.Run(ctx, e.images, load, func(results []*output.Result) error {
		for _, r := range results {
			k, err := strconv.Atoi(r.Key)
			if err != nil {
				return err
			}
			one := predictions.Prediction{ID: e.scorer.Examples[k].ID, Path: r.Path, Caption: r.Caption.Text}
			if r.Err != nil {
				one.Failed = console.Message(r.Err)
				c.failed++
				if e.group.IsLead() {
					e.con.Term.Fail(captioning.Hint(r.Err))
				}
				progress.Add(0, 1)
			} else {
				c.results, c.ids = append(c.results, r), append(c.ids, one.ID)
				progress.Add(1, 0)
			}
			set.List = append(set.List, one)
		}
		e.group.Advance()
		return nil
	})
	progress.Finish()
	if err != nil {
		return nil, err
	}
	if err := e.gather(ctx, set, c); err != nil {
		return nil, err
	}
	e.captioned = c
	if e.o.Save != "" && e.group.IsLead() {
		return set, c.save(e.o.Save)
	}
	return set, nil
}

// images lists the images that this process captions; the key of each is the number of its example.
func (e *evaluation) images(yield func(input.Input) bool) {
	from, to := e.group.Share(len(e.scorer.Examples))
	for i := from; i < to; i++ {
		x := e.scorer.Examples[i]
		if strings.TrimSpace(strings.Join(x.Captions, "")) == "" {
			continue // there is nothing to score it by; the scores will tell
		}
		if !yield(input.Input{Path: x.Name(), Key: strconv.Itoa(i)}) {
			return
		}
	}
}

// load decodes an image by the number of its example.
func (e *evaluation) load(in input.Input, o image.Options) (*image.RGB, error) {
	k, err := strconv.Atoi(in.Key)
	if err != nil {
		return nil, err
	}
	return evaluate.LoadImage(e.scorer.Examples[k], o)
}

// save writes the captions in the form that the file's name asks for, COCO results with the ids of the data set.
func (c *captioned) save(path string) error {
	return atomicfile.WriteFile(path, output.Packed(path, func(w io.Writer) error {
		if output.FormatOf(path) == "coco" {
			list := make([]cocoResult, len(c.results))
			for i, r := range c.results {
				list[i] = cocoResult{idOf(c.ids[i]), r.Caption.Text}
			}
			return console.WriteJSON(w, list)
		}
		f := output.NewFormat(output.FormatOf(path), output.Style{Model: c.model})
		err := f.Begin(w)
		for _, r := range c.results {
			err = errors.Join(err, f.Write(w, r))
		}
		return errors.Join(err, f.End(w))
	}))
}

type cocoResult struct {
	ID      any    `json:"image_id"`
	Caption string `json:"caption"`
}

// idOf is a number where the id is one.
func idOf(id string) any {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && strconv.FormatInt(n, 10) == id {
		return n
	}
	return id
}

// decoding is how captions were chosen, in one word.
func decoding(o decode.Options) string {
	var s strings.Builder
	if o.Sample {
		fmt.Fprintf(&s, "sample-t%g-k%d-p%g-seed%d", o.Temperature, o.TopK, o.TopP, o.Seed)
	} else {
		fmt.Fprintf(&s, "beam%d-lp%g", o.Beam, o.LengthPenalty)
		if o.Groups > 1 {
			fmt.Fprintf(&s, "-groups%d-diversity%g", o.Groups, o.Diversity)
		}
	}
	fmt.Fprintf(&s, "-max%d-min%d-norepeat%d", o.MaxLen, o.MinLen, o.NoRepeatNGram)
	prompt := len(o.Prompt)
	if o.Task != "" {
		prompt = 0
		fmt.Fprintf(&s, "-%s", o.Task)
	}
	for _, x := range []struct {
		name string
		n    int
	}{{"prompt", prompt}, {"force", len(o.Force)}, {"ban", len(o.Ban)}} {
		if x.n > 0 {
			fmt.Fprintf(&s, "-%s%d", x.name, x.n)
		}
	}
	return s.String()
}
