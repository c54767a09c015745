package torch_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"captioner/torch"
)

// TestWaitingThreadsSleep starts this test's own program with other settings in its environment, and looks at how long
// its threads are busy after there is nothing to do any more.
func TestWaitingThreadsSleep(t *testing.T) {
	if os.Getenv("WAITING_TEST") != "" {
		waitForNothing(t)
		return
	}
	for _, tt := range []struct {
		name string
		env  []string
		want string // of the settings that the program sees
	}{
		{"nothing set", nil, "- 1000"},
		{"the user's spinning", []string{"OMP_WAIT_POLICY=active"}, "active -"},
		{"the user's sleeping", []string{"OMP_WAIT_POLICY=passive"}, "passive -"},
		{"the user's count", []string{"GOMP_SPINCOUNT=7"}, "- 7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestWaitingThreadsSleep$")
			for _, v := range os.Environ() {
				if !strings.HasPrefix(v, "OMP_") && !strings.HasPrefix(v, "GOMP_") {
					cmd.Env = append(cmd.Env, v)
				}
			}
			cmd.Env = append(cmd.Env, append(tt.env, "WAITING_TEST=1", "OMP_NUM_THREADS=2")...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if !strings.Contains(string(out), "settings "+tt.want+"\n") {
				t.Errorf("found %s, want settings %s", out, tt.want)
			}
			name, _, _ := strings.Cut(string(out), "\n")
			if want := "name " + commOf(os.Args[0]); name != want {
				t.Errorf("found %q, want %q", name, want)
			}
		})
	}
}

// commOf is what the kernel calls a process by the file that it runs.
func commOf(file string) string {
	base := file[strings.LastIndexByte(file, '/')+1:]
	return base[:min(15, len(base))]
}

func waitForNothing(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Skip(err)
	}
	setting := func(name string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return "-"
	}
	os.Stdout.WriteString("name " + string(comm) + "settings " + setting("OMP_WAIT_POLICY") + " " +
		setting("GOMP_SPINCOUNT") + "\n")
	if os.Getenv("OMP_WAIT_POLICY") == "active" {
		return
	}
	do(t, func() { torch.ParallelThreads() })
	const rounds = 20
	before := processorTime(t)
	for range rounds { // threads that spin take a core for milliseconds after each
		do(t, func() { torch.ParallelThreads() })
		time.Sleep(10 * time.Millisecond)
	}
	if busy := processorTime(t) - before; busy > rounds*time.Millisecond {
		t.Errorf("busy for %v in %d rounds without work, want less than a millisecond each", busy, rounds)
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
