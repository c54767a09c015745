package dist

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		env  string
		want *Place
		err  string
	}{
		"alone": {env: ""},
		"torchrun": {env: `RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=head MASTER_PORT=29400 TORCHELASTIC_USE_AGENT_STORE=True
			TORCHELASTIC_RESTART_COUNT=2`,
			want: &Place{Rank: 3, Size: 4, LocalRank: 1, LocalSize: 2, Addr: "head", Port: 29400, Prefix: "/worker/attempt_2", Hosted: true, Starter: "torchrun"}},
		"PyTorchJob": {env: "PYTHONUNBUFFERED=1 MASTER_ADDR=train-master-0 MASTER_PORT=23456 WORLD_SIZE=3 RANK=2",
			want: &Place{Rank: 2, Size: 3, Addr: "train-master-0", Port: 23456, Starter: "environment"}},
		"one process": {env: "RANK=0 WORLD_SIZE=1 MASTER_ADDR=x"},
		"Slurm": {env: `SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 SLURM_JOB_ID=123456 SLURM_STEP_NODELIST=gpu[003-006] SLURM_STEP_NUM_NODES=4
			SLURM_STEP_TASKS_PER_NODE=2(x4)`,
			want: &Place{Rank: 5, Size: 8, LocalRank: 1, Addr: "gpu003", Port: 15000 + 123456%20000, Starter: "Slurm"}},
		"Slurm, one node, own address": {env: `SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=1 SLURM_JOB_ID=7 SLURM_STEP_NODELIST=n1
			SLURM_STEP_NUM_NODES=1 SLURM_STEP_TASKS_PER_NODE=2 MASTER_ADDR=10.0.0.1 MASTER_PORT=4000`,
			want: &Place{Rank: 1, Size: 2, LocalRank: 1, LocalSize: 2, Addr: "10.0.0.1", Port: 4000, Starter: "Slurm"}},
		"batch script of Slurm": {env: "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_JOB_ID=1 SLURM_JOB_NODELIST=n[1-8]"},
		"no rank":               {env: "WORLD_SIZE=2 MASTER_ADDR=x", err: "no RANK"},
		"no address":            {env: "WORLD_SIZE=2 RANK=1", err: "no MASTER_ADDR"},
		"rank too high":         {env: "WORLD_SIZE=2 RANK=2 MASTER_ADDR=x", err: "rank 2 of 2"},
		"not a number":          {env: "WORLD_SIZE=2 RANK=one MASTER_ADDR=x", err: `RANK: found "one"`},
		"port":                  {env: "WORLD_SIZE=2 RANK=1 MASTER_ADDR=x MASTER_PORT=70000", err: "port 70000"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			for _, pair := range strings.Fields(c.env) {
				k, v, _ := strings.Cut(pair, "=")
				env[k] = v
			}
			got, err := Find(func(k string) string { return env[k] })
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got error %v, want one with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("place (-want +got):\n%s", d)
			}
		})
	}
}

func TestFirstNode(t *testing.T) {
	for list, want := range map[string]string{"n1": "n1", "n1,n2": "n1", "gpu[003-007,9],login1": "gpu003", "a[1,3]": "a1", "r[1-2]n[05-08]": "r1n05",
		"login1,gpu[1-2]": "login1", "n[4-5]-ib": "n4-ib", "": ""} {
		if got := firstNode(list); got != want {
			t.Errorf("firstNode(%q) = %q, want %q", list, got, want)
		}
	}
}
