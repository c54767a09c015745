package train

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"captioner/torch/dist"
	"captioner/torch/dist/launch"
	"captioner/torch/torchtest"
	"captioner/weights/safetensors"
)

// order is what a process of a test is told to do: this program again, as a rank.
type order struct {
	Dir     string
	Options Options
	Resume  bool
	Timeout time.Duration
	After   int    // lines of metrics.jsonl, at which rank 1 does
	Deed    string // "die", "stand still" or "stop"
}

func TestMain(m *testing.M) {
	torchtest.UseStandIn()
	text := os.Getenv("TRAIN_TEST_ORDER")
	if text == "" {
		os.Exit(m.Run())
	}
	if err := obey(text); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func obey(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	place, err := launch.Find(os.Getenv)
	if err != nil {
		return err
	}
	g, err := dist.Join(*place, o.Timeout, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if g.Rank() == 1 && o.Deed != "" {
		go func() {
			for lines(filepath.Join(o.Dir, metricsFile)) < o.After {
				time.Sleep(5 * time.Millisecond)
			}
			switch o.Deed {
			case "die":
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
			case "stand still":
				syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			case "stop":
				cancel()
			}
		}()
	}
	o.Options.Group = g
	if o.Resume {
		err = ResumeGroup(ctx, o.Dir, Options{Group: g}, func(Event) {})
	} else {
		err = Run(ctx, o.Dir, o.Options, func(Event) {})
	}
	if err == nil {
		err = g.Wait(context.Background(), "the end")
		g.Close()
	}
	return err
}

func lines(path string) int {
	b, _ := os.ReadFile(path)
	return bytes.Count(b, []byte("\n"))
}

// runRanks runs an order in n processes on the loopback interface, and gives what each said with its error.
func runRanks(t *testing.T, n int, o order) (said []string, errs []error) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	store, err := dist.Host("127.0.0.1", 0, o.Timeout)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	said, errs = make([]string, n), make([]error, n)
	var wg sync.WaitGroup
	for r := range n {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Env = append(os.Environ(), "TRAIN_TEST_ORDER="+string(text),
			"RANK="+strconv.Itoa(r), "WORLD_SIZE="+strconv.Itoa(n), "MASTER_ADDR=127.0.0.1",
			"MASTER_PORT="+strconv.Itoa(store.Port), "TORCHELASTIC_USE_AGENT_STORE=True")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if r == 1 && o.Deed == "stand still" { // it does not end by itself
			defer cmd.Wait()
			defer cmd.Process.Kill()
			continue
		}
		wg.Go(func() { errs[r] = cmd.Wait(); said[r] = strings.TrimSpace(out.String()) })
	}
	wg.Wait()
	return said, errs
}

// losses reads the losses of a phase by step from a run's metrics.
func losses(t *testing.T, dir, phase string) map[int]float64 {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[int]float64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var e Event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Phase == phase && e.Scores == nil {
			out[e.Step] = e.Loss
		}
		if e.Phase == phase && e.Scores != nil {
			out[-e.Step] = e.Scores["val_loss"]
		}
	}
	return out
}

// alike compares two curves, step by step and measurement by measurement.
func alike(t *testing.T, what string, got, want map[int]float64) {
	t.Helper()
	worst, at := 0.0, 0
	for step, w := range want {
		g, ok := got[step]
		if !ok {
			t.Errorf("%s: no loss of step %d", what, step)
			continue
		}
		if d := math.Abs(g-w) / w; d > worst {
			worst, at = d, step
		}
	}
	t.Logf("%s: %d values, largest relative difference %.2g at %d", what, len(want), worst, at)
	if worst > 1e-5 || len(got) != len(want) {
		t.Errorf("%s: relative difference %.3g at %d, want at most 1e-5; %d values, want %d",
			what, worst, at, len(got), len(want))
	}
}

// sharedRun are options of 54 steps without anything that is drawn apart on each rank.
func sharedRun(t *testing.T, dir string) Options {
	o := smallRun(t, dir)
	o.Dropout, o.InputDropout, o.SCSTSteps, o.LogEvery, o.LR, o.TextEpochs = 0, 0, 0, 1, 2e-3, .5
	o.Epochs, o.BatchSize, o.Accumulate = 27, 6, 2
	return o
}

// Two and three processes learn as one does: the same losses in float32, step by step.
func TestRanksLearnAsOne(t *testing.T) {
	dir := t.TempDir()
	o := sharedRun(t, dir)
	one := filepath.Join(dir, "one")
	train(t, one, o)
	want := losses(t, one, "captions")
	if len(want) < 54+27 {
		t.Fatalf("got %d losses, want 54 of steps and 27 of measurements", len(want))
	}
	for _, n := range []int{2, 3} {
		run := filepath.Join(dir, strconv.Itoa(n))
		said, errs := runRanks(t, n, order{Dir: run, Options: o, Timeout: time.Minute})
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("%d ranks: %v: %q", n, err, said)
		}
		alike(t, fmt.Sprintf("%d ranks, text", n), losses(t, run, "text"), losses(t, one, "text"))
		alike(t, fmt.Sprintf("%d ranks, captions", n), losses(t, run, "captions"), want)
	}
}

// A rank that dies or stands still ends the other, which names it; the checkpoint is whole, and one process goes on
// from it as if nothing had happened.
func TestRankFails(t *testing.T) {
	dir := t.TempDir()
	o := sharedRun(t, dir)
	o.Text, o.TextEpochs, o.Epochs, o.SaveEvery = nil, 0, 60, 5
	one := filepath.Join(dir, "one")
	train(t, one, o)
	want := losses(t, one, "captions")
	for _, deed := range []string{"die", "stand still"} {
		run := filepath.Join(dir, deed)
		said, errs := runRanks(t, 2, order{Dir: run, Options: o, Timeout: 4 * time.Second, After: 17, Deed: deed})
		if errs[0] == nil || !strings.Contains(said[0], "rank 1 (") || strings.Contains(said[0], "\n") {
			t.Fatalf("%s: rank 0 ended with %v and said %q, want one line that names rank 1", deed, errs[0], said[0])
		}
		t.Logf("%s: %s", deed, said[0])
		f, err := safetensors.Open(filepath.Join(run, stateFile))
		if err != nil {
			t.Fatalf("%s: checkpoint: %v", deed, err)
		}
		f.Close()
		if err := Resume(context.Background(), run, func(Event) {}); err != nil {
			t.Fatalf("%s: resume: %v", deed, err)
		}
		alike(t, deed, losses(t, run, "captions"), want)
	}
}

// A stop that reaches one rank alone is every rank's: they save and end, and other numbers of them go on.
func TestRanksStopTogether(t *testing.T) {
	dir := t.TempDir()
	o := sharedRun(t, dir)
	o.SCSTSteps, o.Dropout = 3, .1
	run := filepath.Join(dir, "run")
	said, errs := runRanks(t, 2, order{Dir: run, Options: o, Timeout: time.Minute, After: 12, Deed: "stop"})
	for r := range 2 {
		if errs[r] == nil || said[r] != context.Canceled.Error() {
			t.Fatalf("rank %d: got %v and %q, want a stop", r, errs[r], said[r])
		}
	}
	said, errs = runRanks(t, 3, order{Dir: run, Options: o, Resume: true, Timeout: time.Minute})
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("resume in 3: %v: %q", err, said)
	}
	read(t, run)
	if n := len(losses(t, run, "scst")); n != 3+2 {
		t.Errorf("got %d lines of the last phase, want 3 steps and 2 measurements", n)
	}
}
