package train

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"captioner/torch"
	"captioner/torch/dist"
	"captioner/torch/nn"
)

// This file is what a run does differently when several processes share it. Each of them, a rank, has all captions and
// the whole model; a batch is parted between them, and the gradients are summed. A batch has the same images in the
// same order whatever the number of ranks is, so a run may be resumed by more of them, or fewer. Rank 0 writes; the
// others only read.

// exchange is what the ranks of a phase tell each other: gradients, losses, and whether one of them is to stop.
type exchange struct {
	group   *dist.Group
	tensors []*torch.Tensor // that learn
	buckets *dist.Buckets
	early   bool // gradients leave during the backward pass
	halt    bool // a rank was asked to stop
}

// newExchange prepares the sums of gradients. They leave early, during the backward pass, unless parts of that are
// repeated for the encoder, whose gradients are whole only at the end.
func newExchange(g *dist.Group, params []nn.Param, early bool) (e exchange, err error) {
	e = exchange{group: g, early: early, tensors: make([]*torch.Tensor, len(params))}
	for i, p := range params {
		e.tensors[i] = p.Tensor
	}
	e.buckets, err = g.NewBuckets(e.tensors, dist.BucketSize)
	return e, err
}

// equalize gives every rank the weights of rank 0, which they should have already.
func (e *exchange) equalize() error { return e.group.Broadcast(0, e.tensors...) }

// lastBackward is called before the backward pass that completes the gradients of a step.
func (e *exchange) lastBackward() error {
	if !e.early {
		return nil
	}
	return e.buckets.Begin()
}

// sumGradients waits for the sums over all ranks.
func (e *exchange) sumGradients() error {
	if !e.early {
		if err := e.buckets.Begin(); err != nil {
			return err
		}
	}
	_, err := e.buckets.Finish()
	return err
}

// agree sums up a step: the gradients over all ranks, the loss, and whether one of them is to stop.
func (e *exchange) agree(ctx context.Context, loss float64) (float64, error) {
	if err := e.sumGradients(); err != nil {
		return 0, err
	}
	stop := 0.0
	if ctx.Err() != nil {
		stop = 1
	}
	err := sum(e.group, &loss, &stop)
	e.halt = stop > 0
	return loss, err
}

// weigh is what part of the whole batch's tokens a rank has: the gradients of its mean loss times this sum to those of
// the batch's mean.
func (e *exchange) weigh(tokens int) (float64, error) {
	own := float64(tokens)
	all := own
	if err := sum(e.group, &all); err != nil {
		return 0, err
	}
	return own / math.Max(all, 1), nil
}

// sum replaces numbers by their sums over the ranks.
func sum(g *dist.Group, v ...*float64) error {
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

// gatherJSON puts the lists of all ranks one behind the other.
func gatherJSON[E any](g *dist.Group, own []E) ([]E, error) {
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
