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

	"captioner/cli/console"
	"captioner/cli/output"
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
	cmd, stderr := process(t, 0, append([]string{"predict", "-q"}, args...)...)
	cmd.Env = append(cmd.Env, "CAPTIONER_TEST_PROCESS=real")
	return cmd, stderr
}

// Real photographs, the built-in model, and fifty kills at any moment: the file of a run that was never killed. Only
// the short form is content with fewer than it asks for, where the machine is busy.
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
	killed, asked := 0, kills
	start := time.Now()
	for run := 0; ; run++ {
		if testing.Short() && killed > 0 && time.Since(start) > time.Minute {
			kills = killed
		}
		if run > kills {
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
	if killed < kills {
		t.Errorf("killed %d times, want %d: the run ended before", killed, kills)
	}
	if got, want := read(t, out), read(t, want); got != want {
		t.Errorf("after %d kills: got\n%s\nwant\n%s", killed, got, want)
	}
	t.Logf("%d images, %d kills of %d asked for, in %.0f s: the same %d bytes", 6*asked, killed, asked,
		time.Since(start).Seconds(), size(out))
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Whatever goes with an image through the model, its caption is the same.
func TestSameCaptionsWhateverTheCircumstances(t *testing.T) {
	n := 70
	if testing.Short() {
		n = 20
	}
	dir := photographs(t, n)
	caption := func(args ...string) map[string]output.CaptionLine {
		cmd, stderr := real(t, append(args, "--format", "jsonl")...)
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, stderr)
		}
		all := make(map[string]output.CaptionLine)
		for line := range strings.Lines(string(b)) {
			var l struct {
				Path, Caption string
				LogProb       float64
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			all[l.Path] = output.CaptionLine{Caption: l.Caption, LogProb: console.Rounded(l.LogProb)}
		}
		return all
	}
	want := caption("--batch-size", "1", "--workers", "1", "--threads", "1", dir)
	if len(want) != n {
		t.Fatalf("%d captions, want %d", len(want), n)
	}
	most := 0.0
	check := func(how string, got map[string]output.CaptionLine) {
		for path, g := range got {
			w := want[path]
			d := math.Abs(float64(g.LogProb - w.LogProb))
			if most = max(most, d); g.Caption != w.Caption || d > 1e-4 {
				t.Errorf("%s: %s: got %q, %v, want %q, %v", how, path, g.Caption, g.LogProb, w.Caption, w.LogProb)
			}
		}
	}
	for _, c := range []struct{ batch, workers, threads string }{{"1", "8", "2"}, {"7", "1", "2"}, {"7", "8", "1"},
		{"64", "8", "2"}, {"64", "1", "3"}} {
		got := caption("--batch-size", c.batch, "--workers", c.workers, "--threads", c.threads, dir)
		if len(got) != n {
			t.Errorf("%d captions, want %d", len(got), n)
		}
		check("batches of "+c.batch+", "+c.workers+" workers, "+c.threads+" threads", got)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		check("alone", caption(filepath.Join(dir, fmt.Sprintf("%d.jpg", i))))
	}
	t.Logf("log-probabilities differ by %.1e at most", most)
}
