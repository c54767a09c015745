package pickle

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// BenchmarkOpen opens the checkpoint that CAPTIONER_BENCH_CHECKPOINT names and takes every tensor from it. Run by
// scripts/bench/checkpoint_open.py, which does the same with PyTorch.
func BenchmarkOpen(b *testing.B) {
	path := os.Getenv("CAPTIONER_BENCH_CHECKPOINT")
	if path == "" {
		b.Skip("no CAPTIONER_BENCH_CHECKPOINT; see scripts/bench/checkpoint_open.py")
	}
	before := ownMegabytes()
	best, touch := time.Hour, time.Hour
	for b.Loop() {
		start := time.Now()
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		var tensors [][]byte
		for _, name := range f.Names() {
			x, err := f.Tensor(name)
			if err != nil {
				b.Fatal(err)
			}
			tensors = append(tensors, x.Data)
		}
		best = min(best, time.Since(start))
		sum := 0
		for _, t := range tensors {
			for i := 0; i < len(t); i += 64 { // a cache line at a time
				sum += int(t[i])
			}
		}
		touch = min(touch, time.Since(start))
		if sum == 0 {
			b.Fatal("all bytes are 0")
		}
		b.ReportMetric(float64(ownMegabytes()-before), "own-MB")
		f.Close()
	}
	b.ReportMetric(float64(best.Microseconds())/1e3, "open-ms")
	b.ReportMetric(float64(touch.Microseconds())/1e3, "open+touch-ms")
}

// ownMegabytes is the memory of this process that is not the content of a file, -1 where the system does not tell.
func ownMegabytes() int {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, ok := strings.Cut(string(status), "RssAnon:")
	kb := 0
	if _, err := fmt.Sscan(rest, &kb); !ok || err != nil {
		return -1
	}
	return kb / 1024
}
