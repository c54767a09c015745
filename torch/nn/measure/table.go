package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights/atomicfile"
)

// revision is raised when the kernels change so much that what was measured no longer holds.
const revision = 1

// Table is what was measured on this machine, and the choices that come of it: it measures a shape when it is asked for
// it first. It is an nn.Kernels. Its methods that measure run inside torch.Do; String may be called at any time.
type Table struct {
	path, program string // "" path: nothing is kept
	// Tries is how often a shape is tried before the machine counts as busy. 0 is once.
	Tries   int
	measure func(d torch.DType, use nn.Use, in, out int64) (Entry, bool)
	threads threads

	mu     sync.Mutex
	chosen map[string]choice // by type and use: one choice for a whole process
	here   *machine
}

// choice is what a use was given, and why.
type choice struct {
	engine nn.Engine
	why    string // "", "the machine is busy"
}

// machine is a part of the file: what one machine found, with one program and one libtorch.
type machine struct {
	Processor string           `json:"processor"`
	LibTorch  string           `json:"libtorch"`
	Program   string           `json:"program"`
	Entries   map[string]Entry `json:"entries"`           // by what, as key writes it
	Threads   map[string]int   `json:"threads,omitempty"` // likewise
}

// file is the form of the file. The machine that was used last stands first.
type file struct {
	Format   int       `json:"format"`
	Machines []machine `json:"machines"`
}

const (
	format      = 1
	pause       = 100 * time.Millisecond // between tries
	mostKept    = 32                     // machines
	largestFile = 1 << 20
)

// Open reads the table in a folder, for a program of this version; "" for a table that is not kept. A file that is not
// there, damaged, or of other machines is as good as none.
func Open(folder, version string) *Table {
	t := &Table{program: fmt.Sprintf("%s, kernels %d", version, revision), measure: measure,
		threads: threads{spread: spread, compare: compareThreads}, chosen: make(map[string]choice)}
	if folder != "" {
		t.path = filepath.Join(folder, "kernels.json")
	}
	return t
}

// Engine is the engine for layers of a type and a use. The first shape that is asked for decides for them all.
func (t *Table) Engine(d torch.DType, use nn.Use, in, out int64) nn.Engine {
	what := Name(d) + " " + string(use)
	t.mu.Lock()
	c, ok := t.chosen[what]
	t.mu.Unlock()
	if ok {
		return c.engine
	}
	if use != nn.Learning {
		t.SetThreads(d, in, out)
	}
	e, found := t.Entry(d, use, in, out)
	if c.engine = e.Best; !found {
		c = choice{nn.DefaultEngine(d), "the machine is busy"}
	}
	t.mu.Lock()
	t.chosen[what] = c
	t.mu.Unlock()
	return c.engine
}

// Entry is what was measured of a shape, now or earlier; false where the machine is too busy to measure.
func (t *Table) Entry(d torch.DType, use nn.Use, in, out int64) (Entry, bool) {
	t.load()
	key := fmt.Sprintf("%s %s %dx%d, %d threads", Name(d), use, in, out, torch.Threads())
	if e, ok := t.here.Entries[key]; ok && e.sound(d, use) {
		return e, true
	}
	e, ok := t.measure(d, use, in, out)
	for try := 1; !ok && try < t.Tries; try++ {
		time.Sleep(pause)
		e, ok = t.measure(d, use, in, out)
	}
	if ok {
		t.here.Entries[key] = e
		t.save()
	}
	return e, ok
}

// sound says whether an entry of the file can be what was measured here.
func (e Entry) sound(d torch.DType, use nn.Use) bool {
	if !slices.Contains(engines(d, use), e.Best) {
		return false
	}
	for _, r := range e.Rates {
		if r.Engine == e.Best {
			return !r.Differs && r.GFLOPS > 0
		}
	}
	return false
}

// String states the choices: "fp32 encoder own, fp32 decoder own".
func (t *Table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for what, c := range t.chosen {
		s := what + " " + string(c.engine)
		if c.why != "" {
			s += " (default: " + c.why + ")"
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// load reads this machine's part of the file, once.
func (t *Table) load() {
	if t.here != nil {
		return
	}
	t.here = &machine{processor(), torch.Version(), t.program, make(map[string]Entry), make(map[string]int)}
	kept := t.read().Machines
	if i := slices.IndexFunc(kept, t.here.same); i >= 0 {
		maps.Copy(t.here.Entries, kept[i].Entries)
		maps.Copy(t.here.Threads, kept[i].Threads)
	}
}

func (m *machine) same(o machine) bool {
	return m.Processor == o.Processor && m.LibTorch == o.LibTorch && m.Program == o.Program
}

// read is the file as it is; what cannot be read is empty.
func (t *Table) read() (f file) {
	info, err := os.Stat(t.path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > largestFile {
		return file{}
	}
	b, err := os.ReadFile(t.path)
	if err != nil || json.Unmarshal(b, &f) != nil || f.Format != format {
		return file{}
	}
	return f
}

// save writes the file with this machine's part. A folder that cannot be written is nobody's fault: the next process
// measures again.
func (t *Table) save() {
	if t.path == "" || os.MkdirAll(filepath.Dir(t.path), 0o777) != nil {
		return
	}
	f := t.read()
	f.Format = format
	f.Machines = slices.DeleteFunc(f.Machines, t.here.same)
	f.Machines = slices.Insert(f.Machines, 0, *t.here)
	f.Machines = f.Machines[:min(len(f.Machines), mostKept)]
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return
	}
	_ = atomicfile.WriteFile(t.path, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// Name is a type as --precision has it.
func Name(d torch.DType) string {
	return map[torch.DType]string{torch.Float32: "fp32", torch.BFloat16: "bf16", torch.Int8: "int8"}[d]
}

// processor names the processor, with what it has, and what the environment keeps libraries to.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	first, _, _ := strings.Cut(string(b), "\n\n")
	parts := []string{}
	for line := range strings.Lines(first) {
		k, v, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(k) {
		case "model name", "cpu family", "model", "stepping", "CPU implementer", "CPU part":
			parts = append(parts, strings.TrimSpace(v))
		}
	}
	parts = append(parts, torch.CPUFeatures()...)
	for _, v := range []string{"CAPTIONER_ISA", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"} {
		if s := os.Getenv(v); s != "" {
			parts = append(parts, v+"="+s)
		}
	}
	return strings.Join(parts, " ")
}
