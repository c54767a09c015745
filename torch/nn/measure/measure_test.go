package measure

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

// times makes a candidate of what it took with one number of rows, in microseconds.
func took(e nn.Engine, differ bool, us ...float64) *candidate {
	c := &candidate{engine: e, differ: differ, times: [][]float64{nil}}
	for _, t := range us {
		c.times[0] = append(c.times[0], t*1e-6)
	}
	return c
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		name string
		all  []*candidate
		best nn.Engine
		ok   bool
	}{
		{"the quicker one", []*candidate{took(nn.Own, false, 10, 10, 11), took(nn.MKL, false, 8, 8, 9)}, nn.MKL, true},
		{"hardly quicker", []*candidate{took(nn.Own, false, 10, 10, 11), took(nn.MKL, false, 9.8, 10, 9.9)}, nn.Own, true},
		{"quicker, other bits", []*candidate{took(nn.Own, false, 10, 10, 11), took(nn.MKL, true, 5, 5, 5)}, nn.Own, true},
		{"one slow try", []*candidate{took(nn.Own, false, 10, 10, 99), took(nn.MKL, false, 8, 8, 8)}, nn.MKL, true},
		{"noise", []*candidate{took(nn.Own, false, 10, 30, 99), took(nn.MKL, false, 8, 8, 8)}, nn.MKL, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, ok := choose(tt.all, []int64{64}, 1e6)
			if ok != tt.ok || ok && e.Best != tt.best {
				t.Errorf("got %s, %v, want %s, %v", e.Best, ok, tt.best, tt.ok)
			}
		})
	}
}

// Every engine of this machine is timed, gives what the others give, and leaves nothing behind.
func TestCompare(t *testing.T) {
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				var e Entry
				torch.NoGrad(func() { torch.Scoped(func() { e, _ = compare(d, 64, 96, []int64{4, 64}) }) })
				if len(e.Rates) != len(engines(d, nn.Encoder)) || e.Rate() <= 0 {
					t.Errorf("found %+v, want rates of %v", e, engines(d, nn.Encoder))
				}
				for _, r := range e.Rates {
					if r.Engine == nn.Own && r.Differs {
						t.Error("the panels' rows depend on the batch")
					}
				}
			})
		})
	}
}

func TestCompareLearning(t *testing.T) {
	torchtest.Do(t, func() {
		before := torch.LearnsByOneDNN()
		for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
			torch.Scoped(func() {
				if e, _ := compareLearning(d, 64, 96); len(e.Rates) != len(learners(d)) || e.Rate() <= 0 {
					t.Errorf("%v: found %+v, want rates of %v", d, e, learners(d))
				}
			})
		}
		if torch.LearnsByOneDNN() != before {
			t.Error("measuring has changed the engine")
		}
	})
}

// asked is a table that measures nothing; it counts how often it was to.
func asked(folder, version string, best nn.Engine, ok bool, times *int) *Table {
	t := Open(folder, version)
	t.measure = func(torch.DType, nn.Use, int64, int64) (Entry, bool) {
		*times++
		return Entry{Rates: []Rate{{Engine: best, GFLOPS: 9}}, Best: best}, ok
	}
	return t
}

func TestTable(t *testing.T) {
	torchtest.Do(t, func() {
		dir, n := filepath.Join(t.TempDir(), "new"), 0
		first := asked(dir, "1", nn.OneDNN, true, &n)
		for range 2 {
			if e := first.Engine(torch.Float32, nn.Encoder, 8, 9); e != nn.OneDNN {
				t.Errorf("got %s", e)
			}
		}
		first.Engine(torch.Float32, nn.Encoder, 100, 9) // the first shape decides for all of a use
		if n != 1 {
			t.Errorf("measured %d times, want once a use", n)
		}
		if got := first.String(); got != "fp32 encoder onednn" {
			t.Errorf("stated %q", got)
		}
		asked(dir, "1", nn.Own, true, &n).Engine(torch.Float32, nn.Encoder, 8, 9)
		if n != 1 {
			t.Error("measured again what is in the file")
		}
		asked(dir, "2", nn.Own, true, &n).Engine(torch.Float32, nn.Encoder, 8, 9)
		if n != 2 {
			t.Error("took what another version had measured")
		}
		asked(dir, "1", nn.Own, true, &n).Engine(torch.Float32, nn.Encoder, 8, 9)
		if n != 2 {
			t.Error("the second version's part took the place of the first's")
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("the folder has %v (%v), want one file", entries, err)
		}
	})
}

func TestTableOfABusyMachine(t *testing.T) {
	torchtest.Do(t, func() {
		dir, n := t.TempDir(), 0
		busy := asked(dir, "1", nn.MKL, false, &n)
		if e := busy.Engine(torch.Float32, nn.Decoder, 8, 9); e != nn.DefaultEngine(torch.Float32) {
			t.Errorf("got %s, want the default", e)
		}
		if !strings.Contains(busy.String(), "busy") {
			t.Errorf("stated %q, want the reason", busy)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("kept %v", entries)
		}
	})
}

// Whatever the file holds, it is not trusted further than it makes sense, and never stops anything.
func TestTableDamaged(t *testing.T) {
	torchtest.Do(t, func() {
		dir, n := t.TempDir(), 0
		asked(dir, "1", nn.OneDNN, true, &n).Engine(torch.Float32, nn.Encoder, 8, 9)
		path := filepath.Join(dir, "kernels.json")
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"empty":            "",
			"half":             string(good[:len(good)/2]),
			"null":             "null",
			"another format":   strings.Replace(string(good), `"format": 1`, `"format": 2`, 1),
			"no such engine":   strings.ReplaceAll(string(good), "onednn", "gpu"),
			"impossible rates": strings.ReplaceAll(string(good), `"gflops": 9`, `"gflops": -1`),
			"no entries":       strings.Replace(string(good), `"entries"`, `"others"`, 1),
		} {
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			n = 0
			if e := asked(dir, "1", nn.MKL, true, &n).Engine(torch.Float32, nn.Encoder, 8, 9); n != 1 || e != nn.MKL {
				t.Errorf("%s: got %s after %d measurements, want a new one", name, e, n)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o777); err != nil { // a folder in the file's place
			t.Fatal(err)
		}
		if e := asked(dir, "1", nn.MKL, true, &n).Engine(torch.Float32, nn.Encoder, 8, 9); e != nn.MKL {
			t.Errorf("got %s", e)
		}
	})
}

func TestEnginesOfATypeBeginWithTheDefault(t *testing.T) {
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		all := engines(d, nn.Encoder)
		if all[0] != nn.DefaultEngine(d) || len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
			t.Errorf("%v: found %v", d, all)
		}
	}
}
