package torch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"captioner/torch"
)

func TestCores(t *testing.T) {
	const cpu = "sys/devices/system/cpu/"
	two := map[string]string{ // cores 0 and 1, each with two hyperthreads: 0 and 2, 1 and 3
		cpu + "cpu0/topology/core_cpus_list": "0,2\n",
		cpu + "cpu1/topology/core_cpus_list": "1,3\n",
		cpu + "cpu2/topology/core_cpus_list": "0,2\n",
		cpu + "cpu3/topology/core_cpus_list": "1,3\n",
	}
	older := map[string]string{
		cpu + "cpu0/topology/thread_siblings_list": "0-1\n",
		cpu + "cpu1/topology/thread_siblings_list": "0-1\n",
	}
	sixtyFour := make([]int, 64)
	for i := range sixtyFour {
		sixtyFour[i] = i
	}
	for _, tt := range []struct {
		name  string
		cpus  []int
		files map[string]string
		more  map[string]string
		want  int

		processors int // 0: as many as cores
	}{
		{name: "nothing known", want: 1},
		{name: "processors without topology", cpus: []int{0, 1, 2}, want: 3},
		{name: "hyperthreads", cpus: []int{0, 1, 2, 3}, files: two, want: 2, processors: 4},
		{name: "hyperthreads of an older kernel", cpus: []int{0, 1}, files: older, want: 1, processors: 2},
		{name: "affinity to one core's hyperthreads", cpus: []int{1, 3}, files: two, want: 1, processors: 2},
		{name: "affinity to a hyperthread of each core", cpus: []int{2, 3}, files: two, want: 2},
		{
			name: "cgroup v2, two processors of 64",
			cpus: sixtyFour,
			more: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"},
			want: 2,
		},
		{
			name: "cgroup v2, one processor and a half",
			cpus: sixtyFour,
			more: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"},
			want: 2,
		},
		{
			name: "cgroup v2, a tenth of a processor",
			cpus: sixtyFour,
			more: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"},
			want: 1,
		},
		{
			name: "cgroup v2, no limit",
			cpus: sixtyFour,
			more: map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"},
			want: 64,
		},
		{
			name: "cgroup v2, the limit of an outer group",
			cpus: sixtyFour,
			more: map[string]string{
				"proc/self/cgroup":          "0::/a/b\n",
				"sys/fs/cgroup/a/cpu.max":   "300000 100000\n",
				"sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
			},
			want: 3,
		},
		{
			name: "cgroup v1",
			cpus: sixtyFour,
			more: map[string]string{
				"proc/self/cgroup":                               "5:memory:/m\n4:cpu,cpuacct:/docker/1\n",
				"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":     "400000\n", // the container's own root
				"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":    "100000\n",
				"sys/fs/cgroup/memory/docker/1/cpu.cfs_quota_us": "100000\n",
			},
			want: 4,
		},
		{
			name: "cgroup v1, mounted under the short name",
			cpus: sixtyFour,
			more: map[string]string{
				"proc/self/cgroup":                      "4:cpuacct,cpu:/x\n",
				"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us":  "50000\n",
				"sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "10000\n",
			},
			want: 5,
		},
		{
			name: "cgroup v1, no limit",
			cpus: sixtyFour,
			more: map[string]string{
				"proc/self/cgroup":                    "4:cpu:/\n",
				"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "-1\n",
				"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
			},
			want: 64,
		},
		{
			name:  "a quota above the cores",
			cpus:  []int{0, 1, 2, 3},
			files: two,
			more:  map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"},
			want:  2,

			processors: 3,
		},
		{
			name: "files that hold something else",
			cpus: []int{0, 1},
			more: map[string]string{"proc/self/cgroup": "what\n0::\n", "sys/fs/cgroup/cpu.max": "many few\n"},
			want: 2,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, files := range []map[string]string{tt.files, tt.more} {
				for name, text := range files {
					name = filepath.Join(root, name)
					if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := torch.CoresOf(root, tt.cpus); got != tt.want {
				t.Errorf("got %d cores, want %d", got, tt.want)
			}
			if tt.processors == 0 {
				tt.processors = tt.want
			}
			if got := torch.ProcessorsOf(root, tt.cpus); got != tt.processors {
				t.Errorf("got %d processors, want %d", got, tt.processors)
			}
		})
	}
}

// TestCoresUnderTaskset starts this test's own program on one processor.
func TestCoresUnderTaskset(t *testing.T) {
	if os.Getenv("CORES_TEST") != "" {
		do(t, func() {
			os.Stdout.WriteString("cores " + strconv.Itoa(torch.Cores()) + " threads " + strconv.Itoa(torch.Threads()) + "\n")
		})
		return
	}
	for _, tt := range []struct {
		name, cpus string
		env        []string
		want       string
	}{
		{"one processor", "0", nil, "cores 1 threads 1\n"},
		{"the user's own number", "0", []string{"OMP_NUM_THREADS=2"}, "cores 1 threads 2\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("taskset", "-c", tt.cpus, os.Args[0], "-test.run", "^TestCoresUnderTaskset$")
			for _, v := range os.Environ() {
				if !strings.HasPrefix(v, "OMP_NUM_THREADS=") && !strings.HasPrefix(v, "MKL_NUM_THREADS=") {
					cmd.Env = append(cmd.Env, v)
				}
			}
			cmd.Env = append(append(cmd.Env, "CORES_TEST=1"), tt.env...)
			out, err := cmd.CombinedOutput()
			if err != nil && strings.Contains(err.Error(), "not found") {
				t.Skip("no taskset here")
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("found %s, want %s", out, tt.want)
			}
		})
	}
}
