//go:build standin

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"captioner/torch/standin"
)

// result is what a process of captioner left.
type result struct {
	stdout, stderr string
	code           int
	crossings      standin.Crossings
}

// captioner runs a command in a process of its own, on the stand-in.
func captioner(t *testing.T, env []string, args ...string) result {
	t.Helper()
	report := filepath.Join(t.TempDir(), "crossings.json")
	cmd := exec.Command(os.Args[0], args...)
	own := []string{"CAPTIONER_TEST_COMMAND=1", "STANDIN_REPORT=" + report, "OMP_NUM_THREADS=1"}
	cmd.Env = append(append(os.Environ(), own...), env...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run() // its exit code is part of the result
	r := result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if b, err := os.ReadFile(report); err == nil {
		if err := json.Unmarshal(b, &r.crossings); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// works is captioner that must succeed.
func works(t *testing.T, env []string, args ...string) result {
	t.Helper()
	r := captioner(t, env, args...)
	if r.code != 0 {
		t.Fatalf("captioner %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r
}

const examples = "../../examples"

// Captions on the GPU are those of the CPU, in every way of decoding.
func TestPredictAgreesWithTheCPU(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"beam", nil},
		{"greedy", []string{"--beam-size", "1"}},
		{"several captions", []string{"--num-captions", "3", "--beam-size", "4"}},
		{"one by one", []string{"--batch-size", "1", "--cuda-graphs", "off"}},
		{"recorded steps", []string{"--batch-size", "2", "--cuda-graphs", "on"}},
		{"drawn", []string{"--sample", "--seed", "3"}},
		{"by Python's rules", []string{"--decode", "python-beam"}},
		{"prompt", []string{"--prompt", "a photo of"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			run := func(device string) result {
				return works(t, nil, append([]string{"predict", "-q", "--device", device, examples}, tt.args...)...)
			}
			cpu, gpu := run("cpu"), run("cuda:1")
			if cpu.stdout != gpu.stdout {
				t.Errorf("got on the GPU\n%s\nwant, as on the CPU,\n%s", gpu.stdout, cpu.stdout)
			}
			if cpu.crossings.Ops != 0 || gpu.crossings.Ops == 0 {
				t.Errorf("got %d ops of the GPU with --device cpu and %d with cuda:1", cpu.crossings.Ops, gpu.crossings.Ops)
			}
		})
	}
}

// Two GPUs caption as one does, in the images' order.
func TestPredictOnAllGPUs(t *testing.T) {
	want := works(t, nil, "predict", "-q", "--device", "cuda", examples)
	got := works(t, nil, "predict", "-q", "--device", "cuda:all", examples)
	if got.stdout != want.stdout {
		t.Errorf("got\n%s\nwant\n%s", got.stdout, want.stdout)
	}
	for _, args := range [][]string{
		{"serve", "--device", "cuda:all"},
		{"eval", "--device", "cuda:all", "--data", "x.json"},
	} {
		if r := captioner(t, nil, args...); r.code != 2 || !strings.Contains(r.stderr, "cuda:all is for predict") {
			t.Errorf("%v: got exit code %d and %s, want 2 and that it is for predict", args, r.code, r.stderr)
		}
	}
	r := captioner(t, nil, "predict", "--device", "cuda:all", "--precision", "int8", examples)
	if r.code != 1 || !strings.Contains(r.stderr, "int8 is for the CPU") {
		t.Errorf("got exit code %d and %s, want 1 and the reason", r.code, r.stderr)
	}
}

// Of eight images in one batch, the features are computed in one go, and each token of all beams waits once.
func TestPredictWaitsOnceAToken(t *testing.T) {
	r := works(t, nil, "predict", "-q", "--device", "cuda", "--max-len", "20", examples)
	if most := int64(20 + 2); r.crossings.Waiting() > most {
		t.Errorf("got %+v, want at most %d that wait", r.crossings, most)
	}
}

// In half precision the model says much the same.
func TestPredictInHalfPrecision(t *testing.T) {
	want := strings.Split(works(t, nil, "predict", "-q", "--device", "cpu", examples).stdout, "\n")
	for _, precision := range []string{"bf16", "fp16"} {
		t.Run(precision, func(t *testing.T) {
			r := works(t, nil, "predict", "-q", "--device", "cuda", "--precision", precision, examples)
			got := strings.Split(r.stdout, "\n")
			same := 0
			for i := range want {
				if i < len(got) && got[i] == want[i] {
					same++
				}
			}
			if len(got) != len(want) || same < len(want)-2 {
				t.Errorf("got %d lines, %d of them as in fp32, want at least %d\n%s", len(got), same, len(want)-2,
					strings.Join(got, "\n"))
			}
		})
	}
}

// What a device cannot do is refused with the reason.
func TestPredictRefuses(t *testing.T) {
	for _, tt := range []struct{ name, device, precision, want string }{
		{"int8 on a GPU", "cuda", "int8", "int8 is for the CPU"},
		{"fp16 on the CPU", "cpu", "fp16", "fp16 is for GPUs"},
		{"no such GPU", "cuda:2", "fp32", "found 2 CUDA devices"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := captioner(t, nil, "predict", "--device", tt.device, "--precision", tt.precision, examples)
			if r.code != 1 || !strings.Contains(r.stderr, tt.want) || !strings.Contains(r.stderr, "hint:") {
				t.Errorf("got exit code %d and %s, want 1, %q and a hint", r.code, r.stderr, tt.want)
			}
		})
	}
}

// A batch that does not fit is halved, and the captions are the same.
func TestPredictHalvesItsBatch(t *testing.T) {
	want := works(t, nil, "predict", "-q", "--device", "cuda", examples)
	r := works(t, []string{"STANDIN_MEMORY=120000000"}, "predict", "--device", "cuda", examples)
	if !strings.Contains(r.stderr, "do not fit the GPU's memory") {
		t.Errorf("got %s, want it to say that a batch did not fit", r.stderr)
	}
	if r.stdout != want.stdout {
		t.Errorf("got\n%s\nwant\n%s", r.stdout, want.stdout)
	}
	r = captioner(t, []string{"STANDIN_MEMORY=1000000"}, "predict", "--device", "cuda", examples)
	if r.code != 1 || !strings.Contains(r.stderr, "out of memory") {
		t.Errorf("got exit code %d and %s, want 1 and out of memory", r.code, r.stderr)
	}
}

// Features are those of the CPU.
func TestEncode(t *testing.T) {
	dir := t.TempDir()
	for _, device := range []string{"cpu", "cuda:1"} {
		works(t, nil, "encode", "-q", "--device", device, "-o", filepath.Join(dir, device[:3]+".jsonl"), examples)
	}
}

func TestDoctorSaysThatItIsAStandIn(t *testing.T) {
	if r := works(t, nil, "doctor"); !strings.Contains(r.stdout+r.stderr, "stand-in") {
		t.Errorf("got %s, want it to say: stand-in", r.stdout)
	}
}
