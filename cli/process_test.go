package cli

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"captioner/cli/console"
)

// process is captioner, with the fake model, as a process of its own.
func process(t *testing.T, delay time.Duration, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "CAPTIONER_TEST_PROCESS=1", "FAKE_DELAY="+delay.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return cmd, &stderr
}

// images makes a folder of n images.
func pictures(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	names := []string{"red", "green", "blue", "white", "black"}
	for i := range n {
		if err := writePicture(filepath.Join(dir, fmt.Sprintf("%d.png", i)), colors[names[i%len(names)]]); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestReaderThatGoesAwayEndsTheRunQuietly(t *testing.T) {
	cmd, stderr := process(t, 5*time.Millisecond, "predict", "--batch-size", "1", pictures(t, 200))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasSuffix(line, "a red picture\n") {
		t.Errorf("first line %q, %v", line, err)
	}
	out.Close()
	if code := exitStatus(cmd.Wait()); code != console.ExitDone || stderr.Len() > 0 {
		t.Errorf("exit code %d, want %d; standard error %q, want nothing", code, console.ExitDone, stderr)
	}
}

func TestFirstSignalFinishesWhatIsInHandAndTheSecondQuits(t *testing.T) {
	dir := pictures(t, 100)
	out := filepath.Join(t.TempDir(), "out.txt")
	cmd, stderr := process(t, 300*time.Millisecond, "predict", "--batch-size", "2", "--out", out, dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return lines(out+".journal") > 1 })
	cmd.Process.Signal(os.Interrupt)
	if code := exitStatus(cmd.Wait()); code != console.ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, console.ExitInterrupted)
	}
	if !strings.Contains(stderr.String(), "finishing what is in hand") ||
		!strings.Contains(stderr.String(), "run again with --resume") {
		t.Errorf("standard error %q", stderr)
	}
	if part, journal := lines(out+".part"), lines(out+".journal"); part == 0 || 3*part/2 != journal-1 || part%2 != 0 {
		t.Errorf("%d captions and %d lines of journal, want whole batches of 2, each with a line at its end, and a first "+
			"line", part, journal)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the output is in its place, though it is not whole")
	}

	cmd, _ = process(t, time.Hour, "predict", dir) // nothing in hand will ever be finished
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			// -1: it had not begun to listen for signals
			if code := exitStatus(err); code != console.ExitInterrupted && code != -1 {
				t.Errorf("exit code %d, want %d", code, console.ExitInterrupted)
			}
			return
		case <-tick.C:
			cmd.Process.Signal(os.Interrupt)
		}
	}
}

// A list that never ends must not keep an interrupted run.
func TestSignalWhileWaitingForTheList(t *testing.T) {
	cmd, _ := process(t, 0, "predict", "-q", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, filepath.Join(pictures(t, 1), "0.png"))
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasSuffix(line, "a red picture\n") {
		t.Errorf("a list that goes on: got %q, %v, want the caption of what is there", line, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(r)
	if code := exitStatus(cmd.Wait()); code != console.ExitInterrupted || len(rest) > 0 {
		t.Errorf("exit code %d, want %d; %q", code, console.ExitInterrupted, rest)
	}
}

// A run that is killed again and again ends with the very file of one that was not.
func TestResumeAfterKill(t *testing.T) {
	dir := pictures(t, 40)
	for _, format := range []string{"jsonl", "csv", "coco"} {
		t.Run(format, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			args := []string{"predict", "-q", "--format", format, "--batch-size", "3", "--resume", "--out", out, dir}
			kills := 0
			for ; ; kills++ {
				if kills > 40 {
					t.Fatal("no end")
				}
				cmd, stderr := process(t, 30*time.Millisecond, args...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				before := lines(out + ".journal")
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				var err error
				over := false
				for !over && lines(out+".journal") < before+12 {
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
				cmd.Process.Kill()
				<-ended
				damage(t, out, kills)
			}
			if kills < 2 {
				t.Errorf("killed %d times: the test shows nothing", kills)
			}
			if got, want := read(t, out), uninterrupted(t, format, dir); got != want {
				t.Errorf("after %d kills: got\n%s\nwant\n%s", kills, got, want)
			}
		})
	}
}

func uninterrupted(t *testing.T, format, dir string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "want")
	p := newProgram(strings.NewReader(""), io.Discard, io.Discard)
	p.load = openFake
	if code := p.run(t.Context(), []string{"captioner", "predict", "-q", "--format", format, "--out", out,
		dir}); code != console.ExitDone {
		t.Fatalf("exit code %d", code)
	}
	return read(t, out)
}

// damage does what a kill at the worst moment leaves: half a batch that the journal announces, or half a line of the
// journal.
func damage(t *testing.T, out string, kind int) {
	t.Helper()
	if kind%2 == 1 {
		appendTo(t, out+".journal", "123 0af")
		return
	}
	if strings.Contains(read(t, out+".journal"), "\n> ") {
		return // the kill itself came between
	}
	const text = "half a batch\nthat was being wri"
	whole := base64.StdEncoding.EncodeToString([]byte(text + "tten\n"))
	appendTo(t, out+".journal", fmt.Sprintf("> %d %s\n", len(text)+5, whole))
	appendTo(t, out+".part", text)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestResumeOfAFinishedRunAddsWhatIsNew(t *testing.T) {
	dir := pictures(t, 3)
	out := filepath.Join(t.TempDir(), "out.json")
	run := func(args ...string) (int, string) {
		var stderr bytes.Buffer
		p := newProgram(strings.NewReader(""), io.Discard, &stderr)
		p.load = openFake
		return p.run(t.Context(), append([]string{"captioner", "predict", "--out", out, dir}, args...)), stderr.String()
	}
	if code, msg := run("--resume"); code != console.ExitDone {
		t.Fatal(code, msg)
	}
	if err := writePicture(filepath.Join(dir, "7.png"), colors["white"]); err != nil {
		t.Fatal(err)
	}
	code, msg := run("--resume")
	if code != console.ExitDone || !strings.Contains(msg, "1 caption → ") || !strings.Contains(msg, ", 3 done before") {
		t.Errorf("exit code %d, %q; want only the new image to be captioned", code, msg)
	}
	if got, want := read(t, out), uninterrupted(t, "coco", dir); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, other := range [][]string{{"--beam-size", "5"}, {"--precision", "bf16"}, {"--encoder", "process_test.go"},
		{"--no-orient"}, {"--format", "csv"}} {
		code, msg = run(append([]string{"--resume"}, other...)...)
		if code != console.ExitFailed || !strings.Contains(msg, "another model or other options") {
			t.Errorf("%v: exit code %d, %q", other, code, msg)
		}
	}
	if code, msg = run("--resume", "--precision", "fp32", "--batch-size", "2", "--workers", "1", "--threads",
		"1"); code != console.ExitDone || !strings.Contains(msg, "4 done before") {
		t.Errorf("what changes no caption: exit code %d, %q", code, msg)
	}
	if code, msg = run(); code != console.ExitUsage ||
		!strings.Contains(msg, "is there already, with captions of 4 images") {
		t.Errorf("without --resume: exit code %d, %q", code, msg)
	}
	if code, msg = run("--overwrite"); code != console.ExitDone {
		t.Error(code, msg)
	}
	if _, err := os.Stat(out + ".journal"); err == nil {
		t.Error("the journal is left")
	}
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for !ready() {
		if t.Context().Err() != nil {
			t.Fatal("never ready")
		}
		time.Sleep(time.Millisecond)
	}
}

func lines(path string) int {
	b, _ := os.ReadFile(path) // a file that is not there yet has none
	return bytes.Count(b, []byte("\n"))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
