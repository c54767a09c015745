// Package launch reads from the environment which launcher started this process (torchrun, Open MPI, MPICH, Slurm,
// Kubernetes), its number among the processes that were started, and where these meet. It reads variables only, so
// that any command can use it without libtorch.
package launch

import (
	"fmt"
	"strconv"
	"strings"
)

// Task is what a launcher, which starts many processes, tells one of them.
type Task struct {
	Launcher string // "torchrun", "Slurm": for people
	Index    int    // counted from 0
	Of       int    // how many processes there are; 0 where the launcher does not say
	From     string // the variables that say so: "RANK and WORLD_SIZE"

	together bool // the processes start at the same time, so that they can meet
	array    bool // each process may itself be several, of another launcher
}

// launcher is a program that starts processes. The reading of its variables is the same for all:
//
//   - Where neither the index nor a size above 1 is set, the launcher is not there.
//   - A variable that holds no whole number is an error.
//   - Of processes that start together, an index without a size is an error in Find, and a size above 1 without an
//     index is one everywhere: half of a launcher's variables means that the rest was lost on the way.
//   - Of processes that run independently, the size may be missing: Kubernetes does not tell it.
type launcher struct {
	name     string
	index    string
	size     string
	first    string // the variable with the lowest index; "" where that is 0
	step     string // the variable with the difference between two indices; "" where that is 1
	together bool
	array    bool
}

// slurmStep is the launcher whose variables a batch script has too.
const slurmStep = "Slurm"

// launchers are asked in this order: what starts processes within those of another comes first.
var launchers = []launcher{
	{name: "torchrun", index: "RANK", size: "WORLD_SIZE", together: true},
	{name: "Open MPI", index: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", together: true},
	{name: "MPICH", index: "PMI_RANK", size: "PMI_SIZE", together: true},
	{name: "Kubernetes", index: "JOB_COMPLETION_INDEX", size: "COMPLETIONS"},
	{name: slurmStep, index: "SLURM_PROCID", size: "SLURM_STEP_NUM_TASKS", together: true},
	{
		name: "a Slurm array", index: "SLURM_ARRAY_TASK_ID", size: "SLURM_ARRAY_TASK_COUNT",
		first: "SLURM_ARRAY_TASK_MIN", step: "SLURM_ARRAY_TASK_STEP", array: true,
	},
}

// IndexVariables are the variables that give a process its number, in the order in which they are read.
func IndexVariables() []string {
	var names []string
	for _, l := range launchers {
		names = append(names, l.index)
	}
	return names
}

// Error says that the variables of a launcher contradict each other or hold no numbers.
type Error struct{ Found, Want string }

func (e *Error) Error() string {
	return fmt.Sprintf("start of several processes: found %s, want %s", e.Found, e.Want)
}

// Tasks lists what the launchers say that the environment (os.Getenv, for example) knows of, the innermost first.
func Tasks(getenv func(string) string) ([]Task, error) {
	e := environment{get: getenv}
	var all []Task
	for _, l := range launchers {
		if t := l.read(&e); t != nil {
			all = append(all, *t)
		}
	}
	if e.err != nil {
		return nil, e.err
	}
	return all, nil
}

// read is what the launcher says; nil where it is not there.
func (l launcher) read(e *environment) *Task {
	size := l.size
	if l.name == slurmStep {
		if e.batchScript() {
			return &Task{Launcher: l.name, Of: 1, From: l.index, together: true}
		}
		if !e.has(size) { // set by hand, or lost
			size = "SLURM_NTASKS"
		}
	}
	if !e.has(l.index) {
		if l.together && size == l.size && e.number(size, 1) > 1 {
			e.fail(size+"="+e.get(size)+" but no "+l.index, "both")
		}
		return nil
	}
	t := &Task{
		Launcher: l.name,
		Index:    e.number(l.index, 0),
		Of:       e.number(size, 0),
		From:     l.index,
		together: l.together,
		array:    l.array,
	}
	if t.Of > 0 {
		t.From += " and " + size
	}
	first, step := e.number(l.first, 0), max(e.number(l.step, 1), 1)
	if t.Index < first || (t.Index-first)%step != 0 {
		e.fail(fmt.Sprintf("%s=%d", l.index, t.Index), fmt.Sprintf("%d and steps of %d", first, step))
	}
	t.Index = (t.Index - first) / step
	if t.Of > 0 && t.Index >= t.Of {
		e.fail(fmt.Sprintf("number %d of %d by %s", t.Index, t.Of, t.From), "numbers from 0 to the size less one")
	}
	return t
}

// batchScript says whether this is a batch script of Slurm outside srun. It runs once, though Slurm gives it the
// number 0 and the size of the whole job.
func (e *environment) batchScript() bool {
	return e.has("SLURM_JOB_ID") && !e.has("SLURM_STEP_NUM_TASKS") && !e.has("SLURM_STEP_ID") && !e.has("SLURM_STEPID")
}

// Independent is the part of work that needs no meeting, such as captioning a folder, which falls to this process. It
// is nil where no launcher started it. Of several launchers the innermost with more than one process counts; an array
// of jobs that have several processes each divides the work twice.
func Independent(getenv func(string) string) (*Task, error) {
	tasks, err := Tasks(getenv)
	if err != nil {
		return nil, err
	}
	var found *Task
	for _, t := range tasks {
		switch {
		case found == nil || found.Of == 1: // one process of one says nothing
			found = &t
		case t.array && found.Launcher == slurmStep && t.Of > 1 && found.Of > 1:
			found = &Task{
				Launcher: t.Launcher,
				Index:    t.Index*found.Of + found.Index,
				Of:       t.Of * found.Of,
				From:     t.From + ", and " + found.From,
			}
		}
	}
	return found, nil
}

// Several says whether a launcher started more than this process, and gives what it says.
func Several(getenv func(string) string) (Task, bool) {
	tasks, err := Tasks(getenv)
	if err != nil {
		return Task{}, false
	}
	for _, t := range tasks {
		if t.Of > 1 || t.Of == 0 && !t.together {
			return t, true
		}
	}
	return Task{}, false
}

// environment reads numbers from variables and keeps the first fault.
type environment struct {
	get func(string) string
	err error
}

func (e *environment) has(name string) bool { return strings.TrimSpace(e.get(name)) != "" }

// number is a variable's value, or other where it is not set.
func (e *environment) number(name string, other int) int {
	if name == "" || !e.has(name) {
		return other
	}
	n, err := strconv.ParseUint(strings.TrimSpace(e.get(name)), 10, 31)
	if err != nil {
		e.fail(fmt.Sprintf("%s=%q", name, e.get(name)), "a whole number, 0 or more")
		return other
	}
	return int(n)
}

func (e *environment) fail(found, want string) {
	if e.err == nil {
		e.err = &Error{Found: found, Want: want}
	}
}
