// Package ranks is what a training does differently when several processes share it. Each of them, a rank, has all
// captions and the whole model; a batch is divided between them, and the gradients are summed. A batch has the same
// images in the same order whatever the number of ranks is, so a run may be resumed by more of them, or fewer. Rank 0
// writes; the others only read.
package ranks

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"captioner/torch"
	"captioner/torch/dist"
	"captioner/torch/nn"
)

// Exchange is what the ranks of a phase tell each other: gradients, losses, and whether one of them is to stop. It
// works inside torch.Do. Close releases it.
type Exchange struct {
	group   *dist.Group
	tensors []*torch.Tensor // that learn
	buckets *dist.Buckets
	early   bool // gradients leave during the backward pass
	halt    bool // a rank was asked to stop
}

// NewExchange prepares the sums of gradients. With early they leave during the backward pass. It must be
// false where parts of that pass are repeated, whose gradients are whole only at the end.
func NewExchange(g *dist.Group, params []nn.Param, early bool) (e Exchange, err error) {
	e = Exchange{group: g, early: early, tensors: make([]*torch.Tensor, len(params))}
	for i, p := range params {
		e.tensors[i] = p.Tensor
	}
	e.buckets, err = g.NewBuckets(e.tensors, dist.BucketSize)
	return e, err
}

// Close releases the buckets of the gradients. It may be called on the zero value.
func (e *Exchange) Close() { e.buckets.Close() }

// Halted says whether a rank was asked to stop before the last Agree.
func (e *Exchange) Halted() bool { return e.halt }

// Equalize gives every rank the weights of rank 0, which they should have already.
func (e *Exchange) Equalize() error { return e.group.Broadcast(0, e.tensors...) }

// LastBackward is called before the backward pass that completes the gradients of a step.
func (e *Exchange) LastBackward() error {
	if !e.early {
		return nil
	}
	return e.buckets.Begin()
}

// SumGradients sums the gradients over all ranks, and waits for it.
func (e *Exchange) SumGradients() error {
	if !e.early {
		if err := e.buckets.Begin(); err != nil {
			return err
		}
	}
	_, err := e.buckets.Finish()
	return err
}

// Agree sums up the loss of a step over all ranks, and whether one of them is to stop, which Halted then tells. A rank
// is to stop once its ctx has ended.
func (e *Exchange) Agree(ctx context.Context, loss float64) (float64, error) {
	stop := 0.0
	if ctx.Err() != nil {
		stop = 1
	}
	err := Sum(e.group, &loss, &stop)
	e.halt = stop > 0
	return loss, err
}

// Weigh is what part of the whole batch's tokens a rank has: the gradients of its mean loss times this sum to those of
// the batch's mean.
func (e *Exchange) Weigh(tokens int) (float64, error) {
	own := float64(tokens)
	all := own
	if err := Sum(e.group, &all); err != nil {
		return 0, err
	}
	return own / math.Max(all, 1), nil
}

// Sum replaces numbers by their sums over the ranks.
func Sum(g *dist.Group, v ...*float64) error {
	all := make([]float64, len(v))
	for i, x := range v {
		all[i] = *x
	}
	err := g.Sum(all)
	for i, x := range v {
		*x = all[i]
	}
	return err
}

// GatherJSON puts the lists of all ranks one behind the other, by rank. They travel as JSON.
func GatherJSON[E any](g *dist.Group, own []E) ([]E, error) {
	b, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	parts, err := g.Gather(b)
	if err != nil {
		return nil, err
	}
	var all []E
	for r, p := range parts {
		var some []E
		if err := json.Unmarshal(p, &some); err != nil {
			return nil, fmt.Errorf("gather from rank %d: %w", r, err)
		}
		all = append(all, some...)
	}
	return all, nil
}
