package captioner

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"captioner/torch"
)

// fitting is how many images at once fit the memory of a GPU, as far as it is known.
type fitting struct {
	gpu    bool
	most   atomic.Int64 // 0: all that came did
	notice func(string)
}

// each runs f over 0..n, in one go or in as few parts as fit. A part that runs out of a GPU's memory is halved, from
// then on for all that come: other programs may have taken some of it, and a run of thousands of images goes on.
func (s *fitting) each(n int, f func(from, to int) error) error {
	for from := 0; from < n; {
		to := n
		if most := int(s.most.Load()); most > 0 {
			to = min(n, from+most)
		}
		err := f(from, to)
		var op *torch.OpError
		if s.gpu && to-from > 1 && errors.As(err, &op) && op.OutOfMemory() {
			if err := s.halve(to - from); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// halve makes half of n the most, and gives back what libtorch keeps, which may be in pieces too small.
func (s *fitting) halve(n int) error {
	half := n / 2
	s.most.Store(int64(half))
	if s.notice != nil {
		s.notice(fmt.Sprintf("%d images at once do not fit the GPU's memory: from now on %d", n, half))
	}
	return torch.Do(context.Background(), func() error { torch.ReleaseGPUMemory(); return nil })
}
