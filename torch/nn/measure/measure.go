// Package measure finds out which kernels are quick on this machine, by timing them on shapes that models have, and
// keeps what it found in a file. No choice is made by what a processor says of itself.
package measure

import (
	"cmp"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"captioner/torch"
	"captioner/torch/nn"
)

// Rate is how an engine did.
type Rate struct {
	Engine nn.Engine `json:"engine"`
	GFLOPS float64   `json:"gflops"`
	// Differs says that a row's result is not the same bits in every batch. Such an engine is never chosen.
	Differs bool `json:"differs,omitempty"`
}

// Entry is what was measured of one shape.
type Entry struct {
	Rates []Rate    `json:"rates"` // the quickest first
	Best  nn.Engine `json:"best"`
}

// Rate is the rate of the engine that was chosen.
func (e Entry) Rate() float64 {
	for _, r := range e.Rates {
		if r.Engine == e.Best {
			return r.GFLOPS
		}
	}
	return 0
}

const (
	repeats  = 7
	least    = 200 * time.Microsecond // of a measurement: shorter ones are repeated within it
	margin   = 1.05                   // by how much another engine must be quicker than the default
	noise    = 1.5                    // how much longer the median may take than the shortest, before it is noise
	mostRows = 3072                   // outputs that are measured of a larger layer
)

// rowsOf are how many rows a use is measured with: one image, and a full batch of beams.
func rowsOf(use nn.Use) []int64 {
	if use == nn.Encoder {
		return []int64{64}
	}
	return []int64{4, 64}
}

// engines are those that type d has here, the default first.
func engines(d torch.DType, use nn.Use) []nn.Engine {
	if use == nn.Learning {
		return learners(d)
	}
	out := []nn.Engine{nn.DefaultEngine(d)}
	for _, e := range nn.Engines {
		switch {
		case slices.Contains(out, e), e == nn.Own && !torch.HasPanels(d):
		case d != torch.Float32 && e == nn.MKL: // it has neither
		case d == torch.BFloat16 && !torch.HasISA("avx512"): // nor has oneDNN here
		default:
			out = append(out, e)
		}
	}
	return out
}

// candidate is an engine while it is measured.
type candidate struct {
	engine nn.Engine
	layer  nn.Packed
	times  [][]float64 // seconds, for each number of rows
	differ bool
}

// measure times the engines on a layer of random weights. ok is false where the machine was too busy to say. It runs
// inside torch.Do.
func measure(d torch.DType, use nn.Use, in, out int64) (e Entry, ok bool) {
	if busy() {
		return Entry{}, false
	}
	out = min(out, mostRows)
	if use == nn.Learning {
		torch.Scoped(func() { e, ok = compareLearning(d, in, out) })
		return e, ok
	}
	rows := rowsOf(use)
	defer torch.HandOver(torch.HandOver(0))
	torch.NoGrad(func() {
		torch.Scoped(func() { e, ok = compare(d, in, out, rows) })
	})
	return e, ok
}

func compare(d torch.DType, in, out int64, rows []int64) (Entry, bool) {
	w, x := nn.Noise(out, in), nn.Noise(slices.Max(rows), in)
	norm := nn.NewPackedNorm(&nn.LayerNorm{Weight: torch.Full(1, torch.Float32, torch.CPU, in),
		Bias: torch.Zeros(torch.Float32, torch.CPU, in), Eps: 1e-5})
	defer norm.Free()
	var all []*candidate
	for _, engine := range engines(d, nn.Encoder) {
		c := &candidate{engine: engine, layer: nn.PackedBy(engine, w, nil, torch.NoActivation, d),
			times: make([][]float64, len(rows))}
		defer c.layer.Free()
		all = append(all, c)
	}
	run := func(c *candidate, rows int64) {
		if d == torch.Int8 {
			torch.HandOver(map[nn.Engine]int64{nn.OneDNN: 1}[c.engine])
		}
		torch.Scoped(func() { c.layer.Forward(x.Narrow(0, 0, rows), &norm) })
	}
	for _, c := range all {
		c.differ = d != torch.Int8 && !c.layer.SameBits(c.engine, in, out)
		run(c, rows[0])
	}
	for range repeats {
		for _, c := range all {
			for i, r := range rows {
				c.times[i] = append(c.times[i], timed(func() { run(c, r) }))
			}
		}
	}
	return choose(all, rows, 2*float64(in)*float64(out))
}

// choose makes an entry of times: the quickest engine, if it is quicker than the default by a margin.
func choose(all []*candidate, rows []int64, perRow float64) (e Entry, ok bool) {
	flops := 0.
	for _, r := range rows {
		flops += perRow * float64(r)
	}
	ok = true
	score := make(map[nn.Engine]float64) // of times relative to the default's, for each number of rows
	for _, c := range all {
		seconds := 0.
		for i := range rows {
			slices.Sort(c.times[i])
			best := c.times[i][0]
			seconds += best
			score[c.engine] += best / all[0].times[i][0]
			if c.times[i][len(c.times[i])/2] > noise*best {
				ok = false
			}
		}
		e.Rates = append(e.Rates, Rate{c.engine, math.Round(flops/seconds/1e8) / 10, c.differ})
	}
	e.Best = all[0].engine
	for _, c := range all[1:] {
		if !c.differ && score[c.engine]*margin < score[all[0].engine] && score[c.engine] < score[e.Best] {
			e.Best = c.engine
		}
	}
	slices.SortStableFunc(e.Rates, func(a, b Rate) int { return cmp.Compare(b.GFLOPS, a.GFLOPS) })
	return e, ok
}

// timed is how long f takes, in seconds; a short f is repeated.
func timed(f func()) float64 {
	start := time.Now()
	for n := 1; ; n++ {
		f()
		if took := time.Since(start); took >= least {
			return took.Seconds() / float64(n)
		}
	}
}

// busy says whether more is to run on this machine now, besides this process, than leaves it the processors it wants.
func busy() bool {
	b, err := os.ReadFile("/proc/loadavg") // "1.68 2.03 3.54 4/104 18170"
	if err != nil {
		return false
	}
	fields := strings.Fields(string(b))
	if len(fields) < 4 {
		return false
	}
	all, _, _ := strings.Cut(fields[3], "/")
	n, err := strconv.Atoi(all)
	return err == nil && n-runningHere() >= torch.Cores()
}

// runningHere is how many threads of this process run or want to: at least the one that asks.
func runningHere() int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 1
	}
	n := 0
	for _, t := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + t.Name() + "/stat") // "18170 (captioner) R 1 …"
		if err != nil {
			continue // it has ended
		}
		if _, state, ok := strings.Cut(string(b), ") "); ok && strings.HasPrefix(state, "R") {
			n++
		}
	}
	return max(n, 1)
}
