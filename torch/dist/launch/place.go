package launch

import (
	"fmt"
	"strconv"
	"strings"
)

// Place is where a process stands among those that work together, and where they meet.
type Place struct {
	Rank, Size           int // of all processes
	LocalRank, LocalSize int // of those on this machine; LocalSize is 0 where the launcher does not tell
	Addr                 string
	Port                 int
	Prefix               string // of keys in a store that the launcher hosts; "" where rank 0 hosts it
	Hosted               bool   // the launcher hosts the store
	Starter              string // "torchrun", "Slurm", "environment": for people
}

// Find reads from the environment (os.Getenv, for example) how this process was started; nil where it works alone.
//
// Of what [Tasks] finds, only launchers whose processes start together count: torchrun and what sets RANK and
// WORLD_SIZE as it does (Kubernetes' PyTorchJob, people), Open MPI, MPICH, and a step of Slurm's srun. MASTER_ADDR and
// MASTER_PORT say where rank 0 is. Without them Slurm's list of nodes does, or, where all processes are on one
// machine, its loopback address. torchrun may host the store itself (TORCHELASTIC_USE_AGENT_STORE).
func Find(getenv func(string) string) (*Place, error) {
	tasks, err := Tasks(getenv)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		if !t.together || t.Of == 1 {
			continue
		}
		if t.Of == 0 {
			return nil, &Error{Found: t.From + " but no number of processes", Want: "both"}
		}
		return t.place(getenv)
	}
	return nil, nil
}

// place adds to a task where its processes meet.
func (t Task) place(getenv func(string) string) (*Place, error) {
	e := &environment{get: getenv}
	p := &Place{Rank: t.Index, Size: t.Of, Addr: e.get("MASTER_ADDR"), Starter: t.Launcher}
	port := 29500 // as torchrun
	switch t.Launcher {
	case "torchrun":
		e.torchrun(p)
	case "Open MPI":
		e.local(p, "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
	case "MPICH":
		e.local(p, "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
		if !e.has("MPI_LOCALRANKID") { // srun --mpi=pmi2
			e.slurmLocal(p)
		}
	case slurmStep:
		e.slurmLocal(p)
	}
	if t.Launcher != "torchrun" && e.has("SLURM_JOB_ID") { // MPI inside a job of Slurm runs on its nodes
		port = 15000 + e.number("SLURM_JOB_ID", 0)%20000
		if p.Addr == "" {
			p.Addr = e.firstNode()
		}
	}
	if p.Addr == "" && p.LocalSize == p.Size {
		p.Addr = "127.0.0.1"
	}
	p.Port = e.number("MASTER_PORT", port)
	switch {
	case e.err != nil:
		return nil, e.err
	case p.Addr == "":
		return nil, &Error{
			Found: fmt.Sprintf("rank %d of %d but no MASTER_ADDR", p.Rank, p.Size),
			Want:  "the address of rank 0",
		}
	case p.Port < 1 || p.Port > 65535:
		return nil, &Error{Found: fmt.Sprintf("port %d", p.Port), Want: "MASTER_PORT from 1 to 65535"}
	}
	return p, nil
}

// local reads where a process stands on its machine.
func (e *environment) local(p *Place, rank, size string) {
	p.LocalRank, p.LocalSize = e.number(rank, 0), e.number(size, 0)
}

func (e *environment) torchrun(p *Place) {
	e.local(p, "LOCAL_RANK", "LOCAL_WORLD_SIZE")
	p.Starter = "environment"
	if strings.EqualFold(e.get("TORCHELASTIC_USE_AGENT_STORE"), "true") {
		p.Hosted, p.Starter = true, "torchrun"
		p.Prefix = fmt.Sprintf("/worker/attempt_%d", e.number("TORCHELASTIC_RESTART_COUNT", 0))
	}
}

// slurmLocal reads where a task of srun stands on its machine.
func (e *environment) slurmLocal(p *Place) {
	p.LocalRank = e.number("SLURM_LOCALID", 0)
	perNode, _, _ := strings.Cut(e.get("SLURM_STEP_TASKS_PER_NODE"), ",")
	if perNode != "" && e.number("SLURM_STEP_NUM_NODES", 1) == 1 {
		perNode, _, _ = strings.Cut(perNode, "(")
		p.LocalSize, _ = strconv.Atoi(perNode)
	}
}

// firstNode is the node that Slurm puts rank 0 on.
func (e *environment) firstNode() string {
	if list := e.get("SLURM_STEP_NODELIST"); list != "" {
		return firstNode(list)
	}
	return firstNode(e.get("SLURM_JOB_NODELIST"))
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
