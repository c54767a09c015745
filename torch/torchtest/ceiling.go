package torchtest

import (
	"sync"
	"syscall"
	"time"

	"captioner/torch"
)

var ceilings sync.Map // torch.DType -> float64

// Ceiling is the rate of a large square product in type d on this machine, in GFLOP/s: the best of several, by
// libtorch's matmul, by Panels or by oneDNN, whichever is quickest, with as many threads as libtorch has. Benchmarks
// state their rates as a share of it. It runs inside torch.Do, once a type and process.
func Ceiling(d torch.DType) float64 {
	if v, ok := ceilings.Load(d); ok {
		return v.(float64)
	}
	const n, tries = 2048, 7
	best := time.Duration(1 << 62)
	measure := func(f func()) {
		for range tries {
			start := time.Now()
			torch.Scoped(f)
			best = min(best, time.Since(start))
		}
	}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			x, w := torch.Randn(torch.Float32, torch.CPU, n, n), torch.Randn(torch.Float32, torch.CPU, n, n)
			if d == torch.Int8 || torch.HasPanels(d) {
				p := torch.NewPanels(w, d)
				defer p.Free()
				product := func() { p.Product(x, torch.Fused{BFloat16: d != torch.Float32}) }
				measure(product)
				if d == torch.Int8 { // oneDNN may be the quicker one
					kept := torch.HandOver(1)
					measure(product)
					torch.HandOver(kept)
				}
			}
			if d != torch.Int8 {
				x, w = x.To(d), w.To(d)
				measure(func() { x.Matmul(w) })
			}
		})
	})
	rate := 2 * n * n * n / best.Seconds() / 1e9
	ceilings.Store(d, rate)
	return rate
}

// Bandwidth is the rate at which memory is read here, in GB/s: the best of several sums of a tensor much larger than
// the caches, with as many threads as libtorch has. A step of one row reads its weights no faster. It runs inside
// torch.Do, once a process.
var Bandwidth = sync.OnceValue(func() float64 {
	const numbers, tries = 64 << 20, 9
	best := time.Duration(1 << 62)
	torch.NoGrad(func() {
		torch.Scoped(func() {
			x := torch.Full(1, torch.Float32, torch.CPU, numbers)
			for range tries {
				start := time.Now()
				torch.Scoped(func() { x.Sum() })
				best = min(best, time.Since(start))
			}
		})
	})
	return 4 * numbers / best.Seconds() / 1e9
})

// CPU is the processor time that the process has used, by all its threads: on a busy machine, with one thread, it says
// more than the clock.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
