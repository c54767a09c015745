package features

import (
	"context"
	"runtime"
	"sync"

	"captioner/data/image"
)

// Prepared is the pixels of an image, or why there are none.
type Prepared struct {
	Pixels []byte
	Err    error
}

// PrepareAll decodes and scales images on all cores, in their order as far as one can tell from outside: slot i gets
// image i. It goes on until all are done or ctx ends; wait returns when its goroutines have.
func PrepareAll(ctx context.Context, p image.Preprocess, images []View) (slots []chan Prepared, wait func()) {
	slots = make([]chan Prepared, len(images))
	for i := range slots {
		slots[i] = make(chan Prepared, 1)
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				pix, err := images[i].prepare(p)
				slots[i] <- Prepared{pix, err}
			}
		})
	}
	wg.Go(func() {
		defer close(next)
		for i := range images {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	return slots, wg.Wait
}
