package torch_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"captioner/torch"
)

const mib = 1 << 20

func floats(n int64) *torch.Tensor { return torch.Empty(torch.Float32, torch.CPU, n/4) }

// minorFaults is how many pages the kernel has given this process without reading a file.
func minorFaults(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip(err)
	}
	fields := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:]) // from field 3 on
	n, err := strconv.Atoi(fields[10-3])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// learn is a step of a small network with activations of several sizes, n rows of them.
func learn(n int64) {
	torch.Scoped(func() {
		x, w := torch.Full(0.5, torch.Float32, torch.CPU, n, 512), torch.Full(0.01, torch.Float32, torch.CPU, 2048, 512)
		w.RequireGrad(true)
		h := torch.Linear(x, w, nil).GELU(true)
		h.Softmax(-1).Mul(h).Sum().Backward()
		w.ClearGrad()
	})
}

func TestNoPageFaultsInTheSteadyState(t *testing.T) {
	do(t, func() {
		const sizes = 5
		steps := func() {
			for i := range int64(sizes) {
				learn(1000 + 300*i)
			}
		}
		steps() // oneDNN makes code for each size
		steps()
		before := minorFaults(t)
		steps()
		// Up to 100 MB a step are freed and allocated again: 25,000 pages.
		if n := minorFaults(t) - before; n > 50*sizes {
			t.Errorf("%d page faults in %d steps, want hardly any", n, sizes)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	do(t, func() {
		torch.ReleaseMemory()
		start := torch.Memory()
		torch.Scoped(func() {
			for range 8 {
				floats(32 * mib)
			}
			if got := torch.Memory().Used - start.Used; got != 256*mib {
				t.Errorf("%d bytes used, want %d", got, 256*mib)
			}
		})
		for size := int64(mib); size < 300*mib; size = size*5/4 + 12345 {
			torch.Scoped(func() { floats(size); floats(size / 2) })
			m := torch.Memory()
			if bound := m.Peak + m.Peak/8 + 64*mib; m.Used+m.Kept > bound {
				t.Errorf("%d bytes used and %d kept, want at most %d", m.Used, m.Kept, bound)
			}
		}
		torch.ReleaseMemory()
		if m := torch.Memory(); m.Kept != 0 || m.Used != start.Used || m.Peak != m.Used {
			t.Errorf("after the release: %+v, want nothing kept", m)
		}
	})
}

// TestMemoryGivesPagesBack looks at what the kernel says.
func TestMemoryGivesPagesBack(t *testing.T) {
	do(t, func() {
		torch.ReleaseMemory()
		before := resident(t)
		torch.Scoped(func() { torch.Full(1, torch.Float32, torch.CPU, 64*mib) })
		torch.ReleaseMemory()
		if grown := resident(t) - before; grown > 32*mib {
			t.Errorf("%d bytes stay after a tensor of %d, want few", grown, 256*mib)
		}
	})
}

func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestMemoryIsNotShared writes to tensors of many sizes and reads them again when others have come and gone.
func TestMemoryIsNotShared(t *testing.T) {
	do(t, func() {
		var kept []*torch.Tensor
		next := uint64(1)
		for i := range 400 {
			next = next*6364136223846793005 + 1442695040888963407
			n := int64(next>>33%(3*mib)) + 1
			kept = append(kept, torch.Full(float64(i), torch.Float32, torch.CPU, n/4+1))
			if len(kept) > 40 {
				j := int(next>>40) % len(kept)
				kept[j].Free()
				kept = append(kept[:j], kept[j+1:]...)
			}
		}
		for _, x := range kept {
			v := torch.Slice[float32](x)
			for i := range v {
				if v[i] != v[0] {
					t.Fatalf("element %d of a tensor of %v is %v, want %v as all others", i, v[0], v[i], v[0])
				}
			}
		}
	})
}

func TestEmptyTensorsTakeNoMemory(t *testing.T) {
	do(t, func() {
		if x := torch.Empty(torch.Float32, torch.CPU, 0, 5); x.Numel() != 0 || len(x.Bytes()) != 0 {
			t.Errorf("a tensor without elements has %d", x.Numel())
		}
	})
}

// TestMemoryOfOtherThreads asks for the use of memory, and releases it, while the torch thread works.
func TestMemoryOfOtherThreads(t *testing.T) {
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				torch.ReleaseMemory()
				if m := torch.Memory(); m.Used < 0 || m.Kept < 0 {
					t.Errorf("found %+v", m)
				}
			}
		}
	})
	do(t, func() {
		for range 20 {
			learn(300)
		}
	})
	close(stop)
	others.Wait()
}
