package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// photographs links n real ones into a folder: Flickr8k's, or where they are not at hand the examples again and again.
func photographs(t *testing.T, n int) string {
	t.Helper()
	shared := os.Getenv("CAPTIONER_SHARED")
	if shared == "" {
		shared = "../../shared/data"
	}
	var all []string
	for _, pattern := range []string{filepath.Join(shared, "flickr8k/dev/*.jpg"), "../examples/*.jpg"} {
		if all, _ = filepath.Glob(pattern); len(all) > 0 {
			break
		}
	}
	if len(all) == 0 {
		t.Skip("no photographs: neither " + shared + "/flickr8k/dev nor examples")
	}
	dir := t.TempDir()
	for i := range n {
		from, err := filepath.Abs(all[i%len(all)])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, filepath.Join(dir, fmt.Sprintf("%d.jpg", i))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// real is captioner with the built-in model, as a process of its own.
func real(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd, stderr := process(t, 0, append([]string{"predict", "-q", "--threads", "2"}, args...)...)
	cmd.Env = append(cmd.Env, "CAPTIONER_TEST_PROCESS=real")
	return cmd, stderr
}

// Real photographs, the built-in model, and fifty kills at any moment: the file of a run that was never killed.
func TestResumeAfterFiftyKills(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 5
	}
	dir := photographs(t, 6*kills)
	want := filepath.Join(t.TempDir(), "want.jsonl")
	if cmd, stderr := real(t, "--batch-size", "4", "--out", want, dir); cmd.Run() != nil {
		t.Fatal(stderr)
	}
	out := filepath.Join(t.TempDir(), "out.jsonl")
	killed := 0
	start := time.Now()
	for run := 0; ; run++ {
		if killed < kills && time.Since(start) > 2*time.Minute {
			t.Logf("this machine is busy: %d kills must do", killed)
			kills = killed
		}
		if run > 3*kills {
			t.Fatal("no end")
		}
		cmd, stderr := real(t, "--batch-size", "4", "--out", out, "--resume", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before := size(out + ".journal")
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var err error
		over := false
		for !over && (killed >= kills || size(out+".journal") <= before) {
			select {
			case err = <-ended:
				over = true
			case <-time.After(time.Millisecond):
			}
		}
		if over {
			if err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			break
		}
		time.Sleep(time.Duration(rand.IntN(12)) * time.Millisecond)
		cmd.Process.Kill()
		<-ended
		killed++
	}
	if killed < min(kills, 5) {
		t.Errorf("killed %d times, want %d: the test shows nothing", killed, kills)
	}
	if got, want := read(t, out), read(t, want); got != want {
		t.Errorf("after %d kills: got\n%s\nwant\n%s", killed, got, want)
	}
	t.Logf("killed %d times", killed)
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Whatever goes with a picture through the model, its caption is the same.
func TestSameCaptionsWhateverTheCircumstances(t *testing.T) {
	n := 70
	if testing.Short() {
		n = 20
	}
	dir := photographs(t, n)
	caption := func(args ...string) map[string]captionLine {
		cmd, stderr := real(t, append(args, "--format", "jsonl")...)
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, stderr)
		}
		all := make(map[string]captionLine)
		for line := range strings.Lines(string(b)) {
			var l struct {
				Path, Caption string
				LogProb       float64
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			all[l.Path] = captionLine{Caption: l.Caption, LogProb: rounded(l.LogProb)}
		}
		return all
	}
	want := caption("--batch-size", "1", "--workers", "1", dir)
	if len(want) != n {
		t.Fatalf("%d captions, want %d", len(want), n)
	}
	most := 0.0
	check := func(how string, got map[string]captionLine) {
		for path, g := range got {
			w := want[path]
			d := math.Abs(float64(g.LogProb - w.LogProb))
			if most = max(most, d); g.Caption != w.Caption || d > 1e-4 {
				t.Errorf("%s: %s: got %q, %v, want %q, %v", how, path, g.Caption, g.LogProb, w.Caption, w.LogProb)
			}
		}
	}
	for _, c := range []struct{ batch, workers string }{{"7", "1"}, {"7", "8"}, {"64", "8"}} {
		got := caption("--batch-size", c.batch, "--workers", c.workers, dir)
		if len(got) != n {
			t.Errorf("%d captions, want %d", len(got), n)
		}
		check("batches of "+c.batch+", "+c.workers+" workers", got)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		check("alone", caption(filepath.Join(dir, fmt.Sprintf("%d.jpg", i))))
	}
	t.Logf("log-probabilities differ by %.1e at most", most)
}
