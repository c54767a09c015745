package scoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"captioner/cli/input"
	"captioner/cli/output"
	"captioner/data/predictions"
	"captioner/models/captioner"
)

// This file is what eval does in several processes: each captions a part of the images, and rank 0 scores all
// captions.

// captionedPart is what a process has captioned.
type captionedPart struct {
	List     []predictions.Prediction
	Paths    []string
	Captions []captioner.Caption
	IDs      []string
}

// gather puts the parts of all processes together, in the order of the examples.
func (e *evaluation) gather(ctx context.Context, p *predictions.Set, c *captioned) error {
	if e.group.Size() == 1 {
		return nil
	}
	own := captionedPart{List: p.List, IDs: c.ids}
	for _, r := range c.results {
		own.Paths, own.Captions = append(own.Paths, r.Path), append(own.Captions, r.Caption)
	}
	b, err := json.Marshal(own)
	if err != nil {
		return err
	}
	if err := e.group.Wait(ctx, "the captions"); err != nil {
		return err
	}
	parts, err := e.group.Gather(b)
	if err != nil {
		return err
	}
	p.List, c.results, c.ids, c.failed = nil, nil, nil, 0
	for rank, b := range parts {
		var part captionedPart
		if err := json.Unmarshal(b, &part); err != nil {
			return fmt.Errorf("gather captions of rank %d: %w", rank, err)
		}
		p.List, c.ids = append(p.List, part.List...), append(c.ids, part.IDs...)
		for i, caption := range part.Captions {
			c.results = append(c.results, &output.Result{Input: input.Input{Path: part.Paths[i]}, Caption: caption})
		}
		for _, x := range part.List {
			if x.Failed == "" {
				continue
			}
			if c.failed++; rank != 0 && e.group.IsLead() { // rank 0 has told of its own
				e.con.Term.Fail(errors.New(x.Failed))
			}
		}
	}
	return nil
}
