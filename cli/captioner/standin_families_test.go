//go:build standin

package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/weights"
	"captioner/weights/safetensors"
)

// Small captioners of other families, as their libraries write them, caption on the GPU as on the CPU. There are four
// batches of one shape, so that steps are recorded and replayed where the family's decoder can.
func TestFamiliesAgreeWithTheCPU(t *testing.T) {
	const testdata = "../../models/captioner/testdata/"
	for _, tt := range []struct{ model, encoder string }{
		{"families/blip", ""},
		{"families/git", ""},
		{"families/florence2", ""},
		{"original/model_1.4.pt", "original/clip.pt"},
	} {
		t.Run(tt.model, func(t *testing.T) {
			t.Parallel()
			args := []string{"--model", testdata + tt.model}
			if tt.encoder != "" {
				args = append(args, "--encoder", testdata+tt.encoder)
			}
			for _, beam := range []string{"1", "3"} {
				run := func(device string, more ...string) result {
					all := append(append([]string{"predict", "-q", "--device", device, "--beam-size", beam}, args...), more...)
					return works(t, nil, append(all, examples)...)
				}
				cpu, gpu := run("cpu"), run("cuda:1", "--batch-size", "2", "--cuda-graphs", "on")
				if cpu.stdout != gpu.stdout || cpu.stdout == "" {
					t.Errorf("beam %s: got on the GPU\n%s\nwant, as on the CPU,\n%s", beam, gpu.stdout, cpu.stdout)
				}
				if gpu.crossings.Ops == 0 {
					t.Error("nothing was computed on the GPU")
				}
			}
		})
	}
}

// CLIPScore on the GPU is that of the CPU.
func TestEvalWithCLIPScore(t *testing.T) {
	dir := t.TempDir()
	clip, data := filepath.Join(dir, "clip.safetensors"), filepath.Join(dir, "exam.tsv")
	writeCLIP(t, clip)
	if err := os.WriteFile(data, []byte(exam), 0o666); err != nil {
		t.Fatal(err)
	}
	scores := func(device string) (got map[string]any) {
		t.Helper()
		r := works(t, nil, "eval", "-q", "--json", "--device", device, "--data", data, "--images", examples, "--clip", clip,
			"--heads", "text=1")
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
			t.Fatal(err)
		}
		if on := device != "cpu"; on != (r.crossings.Ops > 0) {
			t.Errorf("%s: got %d ops of the GPU", device, r.crossings.Ops)
		}
		return got
	}
	want, got := scores("cpu"), scores("cuda:1")
	for _, measure := range []string{"CLIPScore", "RefCLIPScore", "CIDEr", "BLEU-4"} {
		w, ok := want[measure].(float64)
		g, _ := got[measure].(float64)
		if !ok || math.Abs(g-w) > 1e-5 {
			t.Errorf("%s: got %v on the GPU, want %v", measure, got[measure], want[measure])
		}
	}
}

// writeCLIP writes the small CLIP that models/clipscore is tested with, and its table of tokens, which follows from a
// formula.
func writeCLIP(t *testing.T, path string) {
	t.Helper()
	src, err := safetensors.Open("../../models/clipscore/testdata/clipscore.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	const vocab, width = 49408, 32
	var table []byte
	for i := range vocab {
		for j := range width {
			v := float32((i*7919+j*104729+i*j*31)%1001-500) / 500
			table = binary.LittleEndian.AppendUint32(table, math.Float32bits(v))
		}
	}
	all := []weights.NamedTensor{{Name: "token_embedding.weight", DType: weights.F32, Shape: []int64{vocab, width},
		Data: table}}
	for _, name := range src.Names() {
		own, ok := strings.CutPrefix(name, "model.")
		if !ok {
			continue
		}
		x, err := src.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		x.Name = own
		all = append(all, x)
	}
	if err := safetensors.WriteFile(path, all, nil); err != nil {
		t.Fatal(err)
	}
}
