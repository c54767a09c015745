package measure

import (
	"fmt"
	"slices"

	"captioner/torch"
	"captioner/torch/nn"
)

// threads is what the choice of the number of threads hangs on.
type threads struct {
	settled bool
	// spread are the numbers to choose from, the default first; one where there is nothing to choose.
	spread func() []int
	// compare times a layer with these numbers and gives the best; false where the machine was too busy to say.
	compare func(d torch.DType, in, out int64, numbers []int) (int, bool)
}

// SetThreads sets how many threads the process computes with, once, where logical processors share cores and nobody
// has said how many: as many as there are cores, or as processors. Which is quicker is timed on a layer [out, in] of
// type d. It runs inside torch.Do.
func (t *Table) SetThreads(d torch.DType, in, out int64) {
	if t.threads.settled {
		return
	}
	t.threads.settled = true
	numbers := t.threads.spread()
	if len(numbers) < 2 {
		return
	}
	t.load()
	key := fmt.Sprintf("%s %dx%d, of %d threads", Name(d), in, out, numbers)
	n, known := t.here.Threads[key]
	if !known || !slices.Contains(numbers, n) {
		var ok bool
		if n, ok = t.threads.compare(d, in, out, numbers); !ok {
			return
		}
		t.here.Threads[key] = n
		t.save()
	}
	torch.SetThreads(n)
}

// spread is as many threads as cores, and as processors where those are more.
func spread() []int {
	few, many := torch.Threads(), torch.Processors()
	if torch.ThreadsGiven() || many <= few {
		return []int{few}
	}
	return []int{few, many}
}

// compareThreads times a product of a batch of images. Another number must be quicker than the first by a margin.
func compareThreads(d torch.DType, in, out int64, numbers []int) (best int, ok bool) {
	if busy() {
		return 0, false
	}
	const rows = 256
	out = min(out, mostRows)
	times := make([][]float64, len(numbers))
	torch.NoGrad(func() {
		torch.Scoped(func() {
			layer := nn.PackedBy(nn.DefaultEngine(d), nn.Noise(out, in), nil, torch.NoActivation, d)
			defer layer.Free()
			x := nn.Noise(rows, in)
			for try := range 1 + repeats {
				for i, n := range numbers {
					torch.SetThreads(n)
					took := timed(func() { torch.Scoped(func() { layer.Forward(x, nil) }) })
					if try > 0 { // the first starts the threads
						times[i] = append(times[i], took)
					}
				}
			}
		})
	})
	torch.SetThreads(numbers[0])
	return chooseThreads(numbers, times)
}

// chooseThreads gives the number with the shortest time; false where the times say nothing.
func chooseThreads(numbers []int, times [][]float64) (best int, ok bool) {
	at := 0
	for i := range times {
		slices.Sort(times[i])
		if times[i][len(times[i])/2] > noise*times[i][0] {
			return 0, false
		}
		if i > 0 && times[i][0]*margin < times[0][0] && times[i][0] < times[at][0] {
			at = i
		}
	}
	return numbers[at], true
}
