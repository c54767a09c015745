package kvcache

import (
	"fmt"
	"math"

	"captioner/torch"
)

// Graphs says whether steps on a GPU are recorded as CUDA graphs: a step of a small model is some two hundred requests
// to the GPU, each of which takes the host longer than the GPU.
type Graphs int

const (
	GraphsOff  Graphs = iota
	GraphsAuto        // where recording works
	GraphsOn          // or fail
)

// ParseGraphs reads "auto" (or ""), "on" or "off".
func ParseGraphs(s string) (Graphs, error) {
	switch s {
	case "", "auto":
		return GraphsAuto, nil
	case "on":
		return GraphsOn, nil
	case "off":
		return GraphsOff, nil
	}
	return 0, fmt.Errorf("cuda graphs: found %q, want auto, on or off", s)
}

// graphs is the choice for the sessions to come; why is what spoke against graphs when they were tried.
var graphs struct {
	choice Graphs
	notice func(string)
	why    error
}

// SetGraphs sets whether sessions from now on record their steps. notice, which may be nil, is told why they are not
// recorded after all. Inside torch.Do.
func SetGraphs(g Graphs, notice func(string)) {
	graphs.choice, graphs.notice, graphs.why = g, notice, nil
}

// Recordable says whether steps of texts of length tokens on dev are recorded.
func Recordable(dev torch.Device, length int) bool {
	if dev == torch.CPU || graphs.choice == GraphsOff || graphs.why != nil || length > fixedMost {
		return false
	}
	if err := torch.GraphsReady(); err != nil {
		refuse(err)
	}
	return graphs.why == nil
}

// refuse ends the recording of steps, or the run where graphs are a must.
func refuse(err error) {
	if graphs.choice == GraphsOn {
		torch.Fail("step", "--cuda-graphs is on: %v", err)
	}
	graphs.why = err
	if graphs.notice != nil {
		graphs.notice(fmt.Sprintf("CUDA graphs are off: %v", err))
	}
}

// fixedMost is the longest text of a cache of fixed size, whose every step looks at all of its positions.
const fixedMost = 512

// fixed is what a cache has whose tensors stay where they are, and whose steps do the same work whatever their
// position.
type fixed struct {
	device torch.Device
	masks  *torch.Tensor // [room, room]: row t is 0 for the positions up to t and -Inf for those to come
	at     *torch.Tensor // [1]: the step's position, while it is computed
	mask   *torch.Tensor // [1, 1, 1, room]: its row of masks
	steps  map[stepKey]*recorded
}

type stepKey struct{ rows, width int }

// recorded is a step of one number of rows. Until it came a second time it has no graph.
type recorded struct {
	graph *torch.Graph
	in    *torch.Tensor // [R+1]: the tokens and the position
	out   *torch.Tensor // what the step gives
}

func newFixed(dev torch.Device, room int64) *fixed {
	rows := make([]float32, room*room)
	for t := range room {
		for s := t + 1; s < room; s++ {
			rows[t*room+s] = float32(math.Inf(-1))
		}
	}
	return &fixed{device: dev, masks: torch.Upload(rows, dev, room, room).Keep(), steps: map[stepKey]*recorded{}}
}

func (f *fixed) free() {
	if f == nil {
		return
	}
	f.forget()
	f.masks.Free()
}

// forget drops the graphs, for tensors that they use are somewhere else now.
func (f *fixed) forget() {
	for key, r := range f.steps {
		r.graph.Free()
		r.in.Free()
		r.out.Free()
		delete(f.steps, key)
	}
}

// run computes a step at position t: by work itself the first time, by a graph from the second time on.
func (f *fixed) run(ids []int64, width int, t int64, work func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	n := len(ids)
	in := torch.Upload(append(ids, t), f.device)
	on := func(in *torch.Tensor) *torch.Tensor {
		f.at = in.Narrow(0, int64(n), 1)
		f.mask = f.masks.IndexSelect(0, f.at).View(1, 1, 1, -1)
		return work(in.Narrow(0, 0, int64(n)))
	}
	key := stepKey{n, width}
	r := f.steps[key]
	if r == nil {
		y := on(in)
		f.steps[key] = &recorded{in: in.Clone().Keep(), out: y.Clone().Keep()}
		return y
	}
	r.in.Copy(in)
	if r.graph == nil && graphs.why == nil {
		if err := r.record(f.device, func() { r.out.Copy(on(r.in)) }); err != nil {
			refuse(err)
		}
		return r.out
	}
	if r.graph == nil {
		return on(in)
	}
	r.graph.Replay()
	return r.out
}

// record makes the graph of a step, and tries it: what it gives must be what the step gives.
func (r *recorded) record(dev torch.Device, work func()) error {
	g, err := torch.Record(dev, work)
	if err != nil {
		return err
	}
	torch.Scoped(func() {
		work()
		want := r.out.Clone()
		r.out.Copy(torch.Full(math.NaN(), r.out.DType(), dev))
		g.Replay()
		off := r.out.Sub(want).To(torch.Float32)
		v := torch.Floats(off.Mul(off).Sum(), want.To(torch.Float32).Mul(want.To(torch.Float32)).Sum())
		if !(v[0] <= 1e-6*v[1]) {
			err = &torch.GraphError{Reason: fmt.Sprintf("its first replay is off by %.2g", math.Sqrt(v[0]/v[1]))}
			r.out.Copy(want)
		}
	})
	if err != nil {
		g.Free()
		return err
	}
	r.graph = g
	return nil
}
