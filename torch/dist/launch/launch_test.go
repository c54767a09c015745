package launch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLaunchers asks both doors about the same environments: which part of independent work this process has (predict
// --shard auto), and which rank it is of those that train together.
func TestLaunchers(t *testing.T) {
	for _, c := range []struct {
		name, env string
		part      string // "3/8 by RANK and WORLD_SIZE", "" for none, "?" for an unknown size; or a piece of the error
		place     *Place
		err       string // a piece of the error of Find
	}{
		{name: "nothing", env: ""},
		{
			name: "torchrun",
			env: "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=head MASTER_PORT=29400 " +
				"TORCHELASTIC_USE_AGENT_STORE=True TORCHELASTIC_RESTART_COUNT=2",
			part: "4/4 by RANK and WORLD_SIZE",
			place: &Place{
				Rank: 3, Size: 4, LocalRank: 1, LocalSize: 2, Addr: "head", Port: 29400,
				Prefix: "/worker/attempt_2", Hosted: true, Starter: "torchrun",
			},
		},
		{
			name:  "PyTorchJob",
			env:   "PYTHONUNBUFFERED=1 MASTER_ADDR=train-master-0 MASTER_PORT=23456 WORLD_SIZE=3 RANK=2",
			part:  "3/3 by RANK and WORLD_SIZE",
			place: &Place{Rank: 2, Size: 3, Addr: "train-master-0", Port: 23456, Starter: "environment"},
		},
		{name: "one process", env: "RANK=0 WORLD_SIZE=1 MASTER_ADDR=x", part: "1/1 by RANK and WORLD_SIZE"},
		{
			name:  "Open MPI on one machine",
			env:   "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2",
			part:  "2/2 by OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE",
			place: &Place{Rank: 1, Size: 2, LocalRank: 1, LocalSize: 2, Addr: "127.0.0.1", Port: 29500, Starter: "Open MPI"},
		},
		{
			name: "Open MPI on several machines",
			env:  "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1",
			part: "1/2 by OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE",
			err:  "no MASTER_ADDR",
		},
		{
			name: "Open MPI in a batch script of Slurm",
			env: "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_RANK=1 SLURM_PROCID=0 SLURM_NTASKS=8 " +
				"SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n[1-2]",
			part:  "2/8 by OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE",
			place: &Place{Rank: 1, Size: 8, LocalRank: 1, Addr: "n1", Port: 15007, Starter: "Open MPI"},
		},
		{
			name:  "MPICH",
			env:   "PMI_RANK=2 PMI_SIZE=4 MPI_LOCALRANKID=2 MPI_LOCALNRANKS=4",
			part:  "3/4 by PMI_RANK and PMI_SIZE",
			place: &Place{Rank: 2, Size: 4, LocalRank: 2, LocalSize: 4, Addr: "127.0.0.1", Port: 29500, Starter: "MPICH"},
		},
		{
			name: "Slurm",
			env: "SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 SLURM_JOB_ID=123456 SLURM_STEP_NODELIST=gpu[003-006] " +
				"SLURM_STEP_NUM_NODES=4 SLURM_STEP_TASKS_PER_NODE=2(x4)",
			part:  "6/8 by SLURM_PROCID and SLURM_STEP_NUM_TASKS",
			place: &Place{Rank: 5, Size: 8, LocalRank: 1, Addr: "gpu003", Port: 15000 + 123456%20000, Starter: "Slurm"},
		},
		{
			name: "Slurm by PMI",
			env: "PMI_RANK=5 PMI_SIZE=8 SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 SLURM_JOB_ID=7 " +
				"SLURM_STEP_NODELIST=gpu[003-006]",
			part:  "6/8 by PMI_RANK and PMI_SIZE",
			place: &Place{Rank: 5, Size: 8, LocalRank: 1, Addr: "gpu003", Port: 15007, Starter: "MPICH"},
		},
		{
			name: "Slurm, one node, own address",
			env: "SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=1 SLURM_JOB_ID=7 SLURM_STEP_NODELIST=n1 " +
				"SLURM_STEP_NUM_NODES=1 SLURM_STEP_TASKS_PER_NODE=2 MASTER_ADDR=10.0.0.1 MASTER_PORT=4000",
			part:  "2/2 by SLURM_PROCID and SLURM_STEP_NUM_TASKS",
			place: &Place{Rank: 1, Size: 2, LocalRank: 1, LocalSize: 2, Addr: "10.0.0.1", Port: 4000, Starter: "Slurm"},
		},
		{
			name: "Slurm by hand",
			env:  "SLURM_PROCID=2 SLURM_NTASKS=8",
			part: "3/8 by SLURM_PROCID and SLURM_NTASKS",
			err:  "no MASTER_ADDR",
		},
		{
			name: "batch script of Slurm", // runs once, and must not take an eighth of the work
			env:  "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_JOB_ID=1 SLURM_JOB_NODELIST=n[1-8]",
			part: "1/1 by SLURM_PROCID",
		},
		{
			name: "shell of salloc",
			env:  "SLURM_NTASKS=8 SLURM_JOB_ID=1 SLURM_JOB_NODELIST=n[1-8]",
			part: "1/1 by SLURM_PROCID",
		},
		{
			name: "array of Slurm", // trains alone, each its own run
			env: "SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_STEP=2 " +
				"SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_JOB_ID=1",
			part: "3/3 by SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT",
		},
		{
			name: "array of steps",
			env: "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=3 SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=4 SLURM_JOB_ID=1 " +
				"SLURM_STEP_NODELIST=n1",
			part: "6/12 by SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, and " +
				"SLURM_PROCID and SLURM_STEP_NUM_TASKS",
			place: &Place{Rank: 1, Size: 4, Addr: "n1", Port: 15001, Starter: "Slurm"},
		},
		{
			name: "Kubernetes", // an indexed job: trains alone, each its own run
			env:  "JOB_COMPLETION_INDEX=4 COMPLETIONS=5",
			part: "5/5 by JOB_COMPLETION_INDEX and COMPLETIONS",
		},
		{name: "Kubernetes without a size", env: "JOB_COMPLETION_INDEX=4", part: "5/? by JOB_COMPLETION_INDEX"},
		{name: "a size of Kubernetes only", env: "COMPLETIONS=x"},
		{
			name: "the innermost counts",
			env:  "RANK=1 WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=4 MASTER_ADDR=x",
			part: "2/2 by RANK and WORLD_SIZE", place: &Place{Rank: 1, Size: 2, Addr: "x", Port: 29500, Starter: "environment"},
		},
		{
			name: "one of one within four",
			env:  "RANK=0 WORLD_SIZE=1 SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=4 MASTER_ADDR=x",
			part: "4/4 by SLURM_PROCID and SLURM_STEP_NUM_TASKS",

			place: &Place{Rank: 3, Size: 4, Addr: "x", Port: 29500, Starter: "Slurm"},
		},

		{
			name: "no rank", env: "WORLD_SIZE=2 MASTER_ADDR=x",
			part: "WORLD_SIZE=2 but no RANK", err: "WORLD_SIZE=2 but no RANK",
		},
		{name: "no rank of one", env: "WORLD_SIZE=1"},
		{name: "no size", env: "RANK=1", part: "2/? by RANK", err: "RANK but no number of processes"},
		{name: "no address", env: "WORLD_SIZE=2 RANK=1", part: "2/2 by RANK and WORLD_SIZE", err: "no MASTER_ADDR"},
		{
			name: "rank too high", env: "WORLD_SIZE=2 RANK=2 MASTER_ADDR=x",
			part: "number 2 of 2 by RANK and WORLD_SIZE", err: "number 2 of 2 by RANK and WORLD_SIZE",
		},
		{name: "not a number", env: "WORLD_SIZE=2 RANK=one MASTER_ADDR=x", part: `RANK="one"`, err: `RANK="one"`},
		{name: "below 0", env: "WORLD_SIZE=2 RANK=-1 MASTER_ADDR=x", part: `RANK="-1"`, err: `RANK="-1"`},
		{
			name: "port", env: "WORLD_SIZE=2 RANK=1 MASTER_ADDR=x MASTER_PORT=70000",
			part: "2/2 by RANK and WORLD_SIZE", err: "port 70000",
		},
		{
			name: "between the steps of an array",
			env:  "SLURM_ARRAY_TASK_ID=11 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_STEP=2",
			part: "steps of 2", err: "steps of 2",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := environ(c.env)
			if got := partOf(getenv); got != c.part && (c.err == "" || !strings.Contains(got, c.part)) {
				t.Errorf("part: got %q, want %q", got, c.part)
			}
			got, err := Find(getenv)
			if c.err != "" || err != nil {
				if err == nil || c.err == "" || !strings.Contains(err.Error(), c.err) {
					t.Errorf("place: got error %v, want one with %q", err, c.err)
				}
				return
			}
			if d := cmp.Diff(c.place, got); d != "" {
				t.Errorf("place (-want +got):\n%s", d)
			}
		})
	}
}

// environ reads variables from a text.
func environ(text string) func(string) string {
	env := map[string]string{}
	for _, pair := range strings.Fields(text) {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	return func(name string) string { return env[name] }
}

func partOf(getenv func(string) string) string {
	switch p, err := Independent(getenv); {
	case err != nil:
		return err.Error()
	case p == nil:
		return ""
	case p.Of == 0:
		return fmt.Sprintf("%d/? by %s", p.Index+1, p.From)
	default:
		return fmt.Sprintf("%d/%d by %s", p.Index+1, p.Of, p.From)
	}
}
