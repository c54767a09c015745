package train

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// runInChild is the environment variable that names the run folder of the process that TestKilledRun kills.
const runInChild = "CAPTIONER_TEST_RUN"

// TestChildRun is no test: it trains in the folder that the environment names, and says each step on standard output.
func TestChildRun(t *testing.T) {
	dir := os.Getenv(runInChild)
	if dir == "" {
		t.Skip("this is the process that TestKilledRun kills")
	}
	tell := func(e Event) { fmt.Println("step", e.Phase, e.Step) }
	var err error
	if _, missing := os.Stat(filepath.Join(dir, optionsFile)); missing == nil {
		err = Resume(context.Background(), dir, tell)
	} else {
		var o Options
		b, rerr := os.ReadFile(dir + ".json")
		if rerr != nil {
			t.Fatal(rerr)
		}
		if err := json.Unmarshal(b, &o); err != nil {
			t.Fatal(err)
		}
		err = Run(context.Background(), dir, o, tell)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A run whose process is killed at twenty moments, any of them while it writes, ends with the very files of one that
// was left alone.
func TestKilledRun(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 3
	}
	dir := t.TempDir()
	o := smallRun(t, dir)
	o.Epochs, o.SaveEvery, o.SCSTSteps, o.Keep = 10, 1, 6, 2
	want := filepath.Join(dir, "whole")
	train(t, want, o)

	run := filepath.Join(dir, "killed")
	if err := os.WriteFile(run+".json", o.JSON(), 0o666); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	killed, done := 0, false
	for !done && killed < kills {
		if done = child(t, run, r); !done {
			killed++
		}
	}
	t.Logf("killed %d times", killed)
	if killed < min(kills, 15) {
		t.Errorf("killed %d times before the run was done, want %d: make it longer", killed, kills)
	}
	if !done {
		if err := Resume(context.Background(), run, func(Event) {}); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{bestFile, lastFile, stateFile, metricsFile, samplesFile, "loss.svg"} {
		a, err := os.ReadFile(filepath.Join(want, file))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(run, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: differs from that of the run that was left alone", file)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(run, ".*.tmp")); len(left) > 1 {
		t.Errorf("left half written: %q", left)
	}
}

// child trains in a process of its own and kills it a little after some of its steps. It says whether the run came to
// its end before.
func child(t *testing.T, run string, r *rand.Rand) (done bool) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildRun$")
	cmd.Env = append(os.Environ(), runInChild+"="+run)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	said := ""
	for n := 1 + r.IntN(4); n > 0 && lines.Scan(); {
		said = lines.Text()
		if bytes.HasPrefix(lines.Bytes(), []byte("step text")) || bytes.HasPrefix(lines.Bytes(), []byte("step captions")) ||
			bytes.HasPrefix(lines.Bytes(), []byte("step scst")) {
			n--
		}
	}
	time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
	cmd.Process.Kill()
	for lines.Scan() {
		said = lines.Text()
	}
	if err := cmd.Wait(); err == nil {
		return true
	} else if said == "FAIL" || bytes.Contains([]byte(said), []byte("--- FAIL")) {
		t.Fatalf("child: %v: %s %s", err, said, messages.String())
	}
	return false
}
