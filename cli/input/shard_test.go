package input

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"captioner/cli/console"
)

func TestShardsAreDisjointAndComplete(t *testing.T) {
	counts := make([]int, 4)
	for i := range 4000 {
		in := 0
		for part := range uint64(4) {
			if (Shard{Index: part, Of: 4}).Holds(fmt.Sprintf("folder/%d.jpg", i)) {
				in++
				counts[part]++
			}
		}
		if in != 1 {
			t.Fatalf("image %d is in %d parts", i, in)
		}
	}
	if slices.Min(counts) < 850 {
		t.Errorf("parts of %v, want about 1000 each", counts)
	}
	for _, s := range []string{"0/2", "3/2", "1", "1/2/3", "a/b", "1/2x", "-1/2"} {
		if _, err := ParseShard(s, os.Getenv); console.ExitCode(err) != console.ExitUsage {
			t.Errorf("%q: got %v, want a usage error", s, err)
		}
	}
}

func TestAutoShard(t *testing.T) {
	for _, tc := range []struct{ flag, env, want string }{
		{"auto", "SLURM_PROCID=2 SLURM_NTASKS=8", "3/8 SLURM_PROCID and SLURM_NTASKS"},
		{"auto", "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 SLURM_PROCID=0 SLURM_NTASKS=1",
			"1/2 OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE"},
		{"auto", "RANK=1 WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=4", "2/2 RANK and WORLD_SIZE"},
		{"auto", "RANK=0 WORLD_SIZE=1 SLURM_PROCID=3 SLURM_NTASKS=4", "4/4 SLURM_PROCID and SLURM_NTASKS"},
		{"auto", "JOB_COMPLETION_INDEX=4 COMPLETIONS=5", "5/5 JOB_COMPLETION_INDEX and COMPLETIONS"},
		{"auto/5", "JOB_COMPLETION_INDEX=4", "5/5 JOB_COMPLETION_INDEX"},
		{"auto", "SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_STEP=2 " +
			"SLURM_PROCID=0 SLURM_NTASKS=1", "3/3 SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT"},
		{"auto", "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=3 SLURM_PROCID=1 SLURM_NTASKS=4",
			"6/12 SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, and SLURM_PROCID and SLURM_NTASKS"},
		{"auto", "", "none of RANK, OMPI_COMM_WORLD_RANK"},
		{"auto", "JOB_COMPLETION_INDEX=4", "nothing says how many parts"},
		{"auto", "RANK=2 WORLD_SIZE=2", "number 2 of 2 by RANK and WORLD_SIZE"},
		{"auto", "RANK=x WORLD_SIZE=2", `RANK="x"`},
		{"auto/3", "RANK=0 WORLD_SIZE=2", "say 2 parts"},
		{"auto/0", "RANK=0", "want auto/N"},
		{"auto", "SLURM_ARRAY_TASK_ID=11 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_STEP=2",
			"steps of 2"},
	} {
		env := make(map[string]string)
		for _, f := range strings.Fields(tc.env) {
			name, value, _ := strings.Cut(f, "=")
			env[name] = value
		}
		s, err := ParseShard(tc.flag, func(name string) string { return env[name] })
		got := fmt.Sprintf("%d/%d %s", s.Index+1, s.Of, s.From)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != tc.want || err != nil &&
			(!strings.Contains(got, tc.want) || console.ExitCode(err) != console.ExitUsage) {
			t.Errorf("--shard %s with %s: got %s, want %s", tc.flag, tc.env, got, tc.want)
		}
	}
}
