//go:build standin

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lesson and exam are captions of the examples, to learn and to measure on.
const lesson = `path	caption
beach.jpg	people at a beach
dog.jpg	a dog runs on grass
gull.jpg	a gull flies over water
motorcycle.jpg	a man on a motorcycle
skater.jpg	a skater jumps
street.jpg	a street with cars
`

const exam = `path	caption
table.jpg	food on a table
tennis.jpg	a woman plays tennis
`

// learn trains for some steps and gives the losses.
func learn(t *testing.T, device string, more ...string) (losses []float64, skipped int) {
	t.Helper()
	dir := t.TempDir()
	data, val := filepath.Join(dir, "train.tsv"), filepath.Join(dir, "val.tsv")
	for path, text := range map[string]string{data: lesson, val: exam} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	works(t, nil, append([]string{"train", "-q", "--device", device, "--data", data, "--images", examples, "--val", val,
		"--val-images", examples, "--encoder", "demo", "--width", "32", "--layers", "1", "--heads", "2",
		"--positions", "12", "--vocab-min-count", "1", "--batch-size", "3", "--captions-per-image", "1",
		"--max-epochs", "5", "--warmup", "2",
		"--ema", "0", "--dropout", "0", "--input-dropout", "0", "--lr", "1e-3", "--log-every", "1", "--cache",
		filepath.Join(dir, "cache"), "--out", filepath.Join(dir, "run")}, more...)...)
	b, err := os.ReadFile(filepath.Join(dir, "run", "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var e struct {
			Loss    float64
			Skipped int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Loss != 0 {
			losses, skipped = append(losses, e.Loss), e.Skipped
		}
	}
	return losses, skipped
}

// Losses on the GPU are those of the CPU; in half precision they are near.
func TestTrainAgreesWithTheCPU(t *testing.T) {
	for _, tt := range []struct {
		name string
		tol  float64
		args []string // of both
		gpu  []string
	}{
		{"float32", 1e-4, []string{"--precision", "32"}, nil},
		{"accumulated", 1e-4, []string{"--precision", "32", "--batch-size", "2", "--accumulate-grad-batches", "2"}, nil},
		{"padding counts", 1e-4, []string{"--precision", "32", "--loss-over-padding"}, nil},
		{"encoder learns", 1e-3, []string{"--precision", "32", "--train-encoder", "--encoder-from", "6"}, nil},
		{"SCST", 1e-3, []string{"--precision", "32", "--scst-steps", "2", "--scst-batch-size", "4", "--scst-samples", "2"},
			nil},
		{"float16", .05, []string{"--precision", "32"}, []string{"--precision", "16"}},
		{"bfloat16", .05, []string{"--precision", "32"}, []string{"--precision", "bf16"}},
		{"two processes", 1e-4, []string{"--precision", "32"}, []string{"--nproc", "gpu"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, _ := learn(t, "cpu", tt.args...)
			got, _ := learn(t, "cuda", append(tt.args, tt.gpu...)...)
			if len(got) != len(want) || len(got) < 5 {
				t.Fatalf("got %d losses, want %d", len(got), len(want))
			}
			for i := range want {
				if off := math.Abs(got[i]-want[i]) / math.Abs(want[i]); !(off < tt.tol) {
					t.Errorf("step %d: got loss %g, want %g: %g off", i+1, got[i], want[i], off)
				}
			}
		})
	}
}
