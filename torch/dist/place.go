package dist

import (
	"fmt"
	"strconv"
	"strings"
)

// Place is where a process stands among those that work together, and where they meet.
type Place struct {
	Rank, Size           int // of all processes
	LocalRank, LocalSize int // of those on this machine; LocalSize is 0 where the starter does not tell
	Addr                 string
	Port                 int
	Prefix               string // of keys in a store that the starter hosts; "" where rank 0 hosts it
	Hosted               bool   // the starter hosts the store
	Starter              string // "torchrun", "Slurm", "environment": for people
}

// Find reads from the environment (os.Getenv, for example) how this process was started; nil where it works alone.
//
// RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are what torchrun, Kubernetes' PyTorchJob and people set; LOCAL_RANK and LOCAL_WORLD_SIZE
// where there are several on a machine. torchrun also hosts the store (TORCHELASTIC_USE_AGENT_STORE). A step of Slurm's srun with several
// tasks is recognised by its own variables; MASTER_ADDR and MASTER_PORT then come before what is made of the list of nodes and the job's id.
func Find(getenv func(string) string) (*Place, error) {
	e := environment{get: getenv}
	var p *Place
	switch {
	case e.has("WORLD_SIZE"):
		p = e.torchrun()
	case e.has("SLURM_STEP_NUM_TASKS"):
		p = e.slurm()
	default:
		return nil, nil
	}
	if e.err != nil {
		return nil, e.err
	}
	if p.Size == 1 {
		return nil, nil
	}
	switch {
	case p.Size < 1, p.Rank < 0, p.Rank >= p.Size:
		return nil, fmt.Errorf("start of several processes: found rank %d of %d, want a rank from 0 to the size less one", p.Rank, p.Size)
	case p.Addr == "":
		return nil, fmt.Errorf("start of several processes: found rank %d of %d but no MASTER_ADDR, want the address of rank 0", p.Rank, p.Size)
	case p.Port < 1 || p.Port > 65535:
		return nil, fmt.Errorf("start of several processes: found port %d, want MASTER_PORT from 1 to 65535", p.Port)
	}
	return p, nil
}

// environment reads numbers from variables and keeps the first that is none.
type environment struct {
	get func(string) string
	err error
}

func (e *environment) has(name string) bool { return e.get(name) != "" }

// number is a variable's value, or other where it is not set.
func (e *environment) number(name string, other int) int {
	s := e.get(name)
	if s == "" {
		return other
	}
	n, err := strconv.Atoi(s)
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("variable %s: found %q, want a whole number", name, s)
	}
	return n
}

func (e *environment) torchrun() *Place {
	if !e.has("RANK") && e.number("WORLD_SIZE", 1) > 1 && e.err == nil {
		e.err = fmt.Errorf("start of several processes: found WORLD_SIZE=%s but no RANK, want both", e.get("WORLD_SIZE"))
	}
	p := &Place{Rank: e.number("RANK", 0), Size: e.number("WORLD_SIZE", 1), LocalRank: e.number("LOCAL_RANK", 0),
		LocalSize: e.number("LOCAL_WORLD_SIZE", 0), Addr: e.get("MASTER_ADDR"), Port: e.number("MASTER_PORT", 29500), Starter: "environment"}
	if strings.EqualFold(e.get("TORCHELASTIC_USE_AGENT_STORE"), "true") {
		p.Hosted, p.Starter = true, "torchrun"
		p.Prefix = fmt.Sprintf("/worker/attempt_%d", e.number("TORCHELASTIC_RESTART_COUNT", 0))
	}
	return p
}

// slurm reads what srun sets for each task. A batch script outside srun has none of the step's variables, and works alone.
func (e *environment) slurm() *Place {
	p := &Place{Rank: e.number("SLURM_PROCID", 0), Size: e.number("SLURM_STEP_NUM_TASKS", 1), LocalRank: e.number("SLURM_LOCALID", 0),
		Addr: e.get("MASTER_ADDR"), Port: e.number("MASTER_PORT", 15000+e.number("SLURM_JOB_ID", 0)%20000), Starter: "Slurm"}
	if first, _, _ := strings.Cut(e.get("SLURM_STEP_TASKS_PER_NODE"), ","); first != "" && e.number("SLURM_STEP_NUM_NODES", 1) == 1 {
		first, _, _ = strings.Cut(first, "(")
		p.LocalSize, _ = strconv.Atoi(first)
	}
	if p.Addr == "" {
		list := e.get("SLURM_STEP_NODELIST")
		if list == "" {
			list = e.get("SLURM_JOB_NODELIST")
		}
		p.Addr = firstNode(list)
	}
	return p
}

// firstNode is the first name of a list of nodes as Slurm writes it: "gpu[003-007,9],login1" begins with gpu003.
func firstNode(list string) string {
	name, rest, ranged := strings.Cut(list, "[")
	if comma := strings.IndexByte(name, ','); comma >= 0 {
		return name[:comma]
	}
	if !ranged {
		return name
	}
	numbers, after, _ := strings.Cut(rest, "]")
	number := numbers
	if end := strings.IndexAny(numbers, "-,"); end >= 0 {
		number = numbers[:end]
	}
	if comma := strings.IndexByte(after, ','); comma >= 0 {
		after = after[:comma]
	}
	if strings.Contains(after, "[") {
		after = firstNode(after)
	}
	return name + number + after
}
