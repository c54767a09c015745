package measure

import (
	"slices"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

func TestChooseThreads(t *testing.T) {
	for _, tt := range []struct {
		name      string
		few, many []float64
		want      int
		ok        bool
	}{
		{"hyperthreads help", []float64{10, 10, 11}, []float64{8, 8, 9}, 4, true},
		{"hardly", []float64{10, 10, 11}, []float64{9.8, 10, 11}, 2, true},
		{"they hurt", []float64{10, 10, 11}, []float64{13, 14, 15}, 2, true},
		{"noise", []float64{10, 10, 11}, []float64{8, 30, 40}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := chooseThreads([]int{2, 4}, [][]float64{tt.few, tt.many})
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %d threads, %v, want %d, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// The number is timed once a machine, kept, and set; a process decides once.
func TestThreadsAreKept(t *testing.T) {
	torchtest.Do(t, func() {
		before := torch.Threads()
		defer torch.SetThreads(before)
		folder, timed := t.TempDir(), 0
		table := func(busy bool, numbers ...int) *Table {
			x := Open(folder, "1")
			x.threads.spread = func() []int { return numbers }
			x.threads.compare = func(_ torch.DType, _, _ int64, numbers []int) (int, bool) {
				timed++
				return slices.Max(numbers), !busy
			}
			return x
		}
		for _, step := range []struct {
			name    string
			busy    bool
			numbers []int
			threads int
			timed   int
		}{
			{"one number", false, []int{1}, before, 0},
			{"a busy machine", true, []int{1, 3}, before, 1},
			{"timed", false, []int{1, 3}, 3, 2},
			{"kept", false, []int{1, 3}, 3, 2},
			{"other processors", false, []int{1, 2}, 2, 3},
		} {
			torch.SetThreads(before)
			x := table(step.busy, step.numbers...)
			x.SetThreads(torch.Float32, 64, 96)
			x.SetThreads(torch.Float32, 64, 96)
			if torch.Threads() != step.threads || timed != step.timed {
				t.Errorf("%s: found %d threads, timed %d times, want %d, %d", step.name, torch.Threads(), timed, step.threads,
					step.timed)
			}
		}
	})
}

// Both numbers are timed on this machine, and the number of threads is the first again.
func TestCompareThreads(t *testing.T) {
	torchtest.Do(t, func() {
		before := torch.Threads()
		defer torch.SetThreads(before)
		if n, ok := compareThreads(torch.Float32, 64, 96, []int{1, 2}); ok && n != 1 && n != 2 {
			t.Errorf("chose %d threads, want 1 or 2", n)
		} else if ok && torch.Threads() != 1 {
			t.Errorf("left %d threads, want the first number", torch.Threads())
		}
	})
}
