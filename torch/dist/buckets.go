package dist

// #include "c10d/dist.h"
import "C"

import (
	"unsafe"

	"captioner/torch"
)

// BucketSize is how many bytes of gradients travel together: enough that the latency of a sum does not count.
const BucketSize = 25 << 20

// Buckets sums the gradients of parameters over all ranks while Backward still computes others: a bucket leaves as
// soon as it is full, the parameters' order reversed. It works inside torch.Do. Nil buckets, those of a nil group,
// have nothing to sum.
type Buckets struct {
	g *Group
	c unsafe.Pointer
}

// NewBuckets prepares for parameters in the order in which the network uses them, the same on every rank. Close
// releases them before the parameters are freed.
func (g *Group) NewBuckets(params []*torch.Tensor, bytes int64) (*Buckets, error) {
	if g == nil {
		return nil, nil
	}
	b := &Buckets{g: g}
	if err := failure(C.cd_buckets_open(&b.c, g.c, handles(params), C.int(len(params)), C.int64_t(bytes))); err != nil {
		return nil, err
	}
	return b, nil
}

// Len is the number of buckets.
func (b *Buckets) Len() int { return int(C.cd_buckets_count(b.c)) }

// Begin makes the next Backward send. Gradients that are there are part of the sum. With several Backwards a step,
// only the last one sends.
func (b *Buckets) Begin() error {
	if b == nil {
		return nil
	}
	return failure(C.cd_buckets_begin(b.c))
}

// Finish waits for the sums and puts them in the parameters' gradients. early is how many buckets left before Backward
// had ended.
func (b *Buckets) Finish() (early int, err error) {
	if b == nil {
		return 0, nil
	}
	b.g.calls.Add(1)
	var n C.int
	err = failure(C.cd_buckets_finish(b.c, &n))
	return int(n), b.g.blame("sum gradients", err)
}

// Close releases the buckets.
func (b *Buckets) Close() {
	if b != nil && b.c != nil {
		C.cd_buckets_close(b.c)
		b.c = nil
	}
}
