package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"captioner/torch"
	"captioner/torch/dist"
)

// This file is what a run does differently when several processes share it. Each of them, a rank, has all captions and the whole model; a batch
// is parted between them, and the gradients are summed. A batch has the same pictures in the same order whatever the number of ranks is, so a
// run may be resumed by more of them, or fewer. Rank 0 writes; the others only read.

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

// DeviceOf is torch.ParseDevice for one process of a group, or of none: of several on a machine, each has a GPU of its own.
func DeviceOf(s string, g *dist.Group) (torch.Device, error) {
	dev, err := torch.ParseDevice(s)
	if err != nil || g.Size() == 1 || !dev.IsCUDA() || s != "auto" && s != "cuda" {
		return dev, err
	}
	return torch.ParseDevice(fmt.Sprintf("cuda:%d", g.LocalRank()))
}

func (t *trainer) parseDevice() (torch.Device, error) { return DeviceOf(t.Device, t.Group) }

// equalise gives every rank the weights of rank 0, which they should have already.
func (l *learner) equalise() error {
	return l.Group.Broadcast(0, l.tensors()...)
}

func (l *learner) tensors() []*torch.Tensor {
	out := make([]*torch.Tensor, len(l.params))
	for i, p := range l.params {
		out[i] = p.Tensor
	}
	return out
}

// newBuckets prepares the sums of gradients. They leave while backward goes on, unless parts of it are repeated for the encoder, whose gradients
// are whole only at the end.
func (l *learner) newBuckets() (err error) {
	l.early = l.tuner == nil || !l.Recompute
	l.buckets, err = l.Group.NewBuckets(l.tensors(), dist.BucketSize)
	return err
}

// lastBackward is called before the backward pass that completes the gradients of a step.
func (l *learner) lastBackward() error {
	if !l.early {
		return nil
	}
	return l.buckets.Begin()
}

// sumGradients waits for the sums over all ranks.
func (l *learner) sumGradients() error {
	if !l.early {
		if err := l.buckets.Begin(); err != nil {
			return err
		}
	}
	_, err := l.buckets.Finish()
	return err
}

// agree sums up a step: the gradients over all ranks, the loss, and whether one of them is to stop.
func (l *learner) agree(ctx context.Context, loss float64) (float64, error) {
	if err := l.sumGradients(); err != nil {
		return 0, err
	}
	stop := 0.0
	if ctx.Err() != nil {
		stop = 1
	}
	err := sum(l.Group, &loss, &stop)
	l.halt = stop > 0
	return loss, err
}

// weigh is what part of the whole batch's tokens a rank has: the gradients of its mean loss times this sum to those of the batch's mean.
func (l *learner) weigh(tokens int) (float64, error) {
	own := float64(tokens)
	all := own
	if err := sum(l.Group, &all); err != nil {
		return 0, err
	}
	return own / math.Max(all, 1), nil
}

// reseed gives each rank numbers of its own for a step's dropout, the same whenever the run gets there.
func (l *learner) reseed() {
	if l.Group.Size() > 1 {
		torch.Seed(int64(l.random("dropout", l.state.Step*l.Group.Size()+l.Group.Rank()).Uint64() >> 1))
	}
}

// gatherBad puts together which pictures the ranks could not decode.
func (t *trainer) gatherBad(own []Bad) ([]Bad, error) {
	if t.Group.Size() == 1 {
		return own, nil
	}
	type line struct {
		Index      int
		Path, Text string
	}
	var lines []line
	for _, b := range own {
		lines = append(lines, line{b.Index, b.Path, b.Err.Error()})
	}
	parts, err := gatherJSON(t.Group, lines)
	var all []Bad
	for _, x := range parts {
		all = append(all, Bad{x.Index, x.Path, errors.New(x.Text)})
	}
	return all, err
}

// gatherCaptions puts together what the ranks have captioned, by rank.
func (t *trainer) gatherCaptions(own []string) ([]string, error) {
	return gatherJSON(t.Group, own)
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

// checkRanks refuses batches that are too small to part.
func (t *trainer) checkRanks() error {
	check := func(what string, n int) error {
		if n >= t.Group.Size() {
			return nil
		}
		return fmt.Errorf("train in %d processes: %s: found %d, want one or more for each", t.Group.Size(), what, n)
	}
	err := errors.Join(check("batch-size", t.BatchSize), check("pictures to learn from", len(t.train)), check("pictures to measure on", len(t.val)))
	if t.SCSTSteps > 0 {
		err = errors.Join(err, check("scst-batch-size", t.SCSTBatch))
	}
	return err
}
