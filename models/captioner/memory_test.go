package captioner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// TestPeakMemory looks at processes that load a model and caption an image: a model with more blocks takes as much more
// memory, at its peak, as its weights have in the precision, and not a copy of them beside that. Of the two files, one
// is CLIP in float32, which a captioner of clip-text-decoder rounds to float16, and one a decoder that is laid out from
// where it lies.
func TestPeakMemory(t *testing.T) {
	if dir := os.Getenv("CAPTIONER_PEAK_OF"); dir != "" {
		captionOnce(t, dir, os.Getenv("CAPTIONER_PEAK_IN"))
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("peak memory is read as Linux gives it")
	}
	few, many := t.TempDir(), t.TempDir()
	weight := writeLarge(t, many, 12) - writeLarge(t, few, 1) // bytes in float32
	for _, c := range []struct {
		precision string
		most      float64 // of the bytes in float32
	}{
		{"fp32", 1.1},
		{"bf16", 0.6},
		{"int8", 0.4},
	} {
		t.Run(c.precision, func(t *testing.T) {
			grown := peak(t, many, c.precision) - peak(t, few, c.precision)
			got := float64(grown) / float64(weight)
			t.Logf("%d MB of weights more, %d MB at the peak, %.2f times", weight>>20, grown>>20, got)
			if got > c.most || got <= 0 {
				t.Errorf("want at most %.2f times", c.most)
			}
		})
	}
}

// peak is the most memory that a process had which captioned an image.
func peak(t *testing.T, dir, precision string) int64 {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestPeakMemory$")
	cmd.Env = append(os.Environ(), "CAPTIONER_PEAK_OF="+dir, "CAPTIONER_PEAK_IN="+precision)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "VmHWM:") // a process inherits the peak that Rusage has
	kilobytes, err := strconv.ParseInt(strings.Fields(rest + " ?")[0], 10, 64)
	if err != nil {
		t.Fatalf("found %s, want the peak", out)
	}
	return kilobytes << 10
}

func captionOnce(t *testing.T, dir, precision string) {
	c, err := Open(filepath.Join(dir, "decoder.safetensors"), Options{
		Device: "cpu", Threads: 1, Precision: precision, Encoder: filepath.Join(dir, "clip.safetensors"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := c.Defaults()
	o.MaxLen = 4
	if _, err := c.Caption(context.Background(), []*image.RGB{c.Prepare(pictures(1)[0])}, o); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s", status)
}

// writeLarge writes a CLIP and a GPT-2 with cross-attention, of some blocks each, and returns the size of both files.
func writeLarge(t *testing.T, dir string, blocks int) int64 {
	t.Helper()
	const c, tokens = 512, 50257
	clip := map[string][]int64{"visual.conv1.weight": {c, 3, 32, 32}, "visual.class_embedding": {c},
		"visual.positional_embedding": {50, c}, "visual.proj": {c, 512}}
	decoder := map[string][]int64{"transformer.wte.weight": {tokens, c}, "transformer.wpe.weight": {1024, c}}
	for _, name := range []string{"visual.ln_pre", "visual.ln_post"} {
		clip[name+".weight"], clip[name+".bias"] = []int64{c}, []int64{c}
	}
	decoder["transformer.ln_f.weight"], decoder["transformer.ln_f.bias"] = []int64{c}, []int64{c}
	for i := range blocks {
		b := fmt.Sprintf("visual.transformer.resblocks.%d.", i)
		for _, l := range []struct {
			name    string
			out, in int64
		}{{"attn.in_proj_", 3 * c, c}, {"attn.out_proj.", c, c}, {"mlp.c_fc.", 4 * c, c}, {"mlp.c_proj.", c, 4 * c}} {
			clip[b+l.name+"weight"], clip[b+l.name+"bias"] = []int64{l.out, l.in}, []int64{l.out}
		}
		for _, norm := range []string{"ln_1.", "ln_2."} {
			clip[b+norm+"weight"], clip[b+norm+"bias"] = []int64{c}, []int64{c}
		}
		b = fmt.Sprintf("transformer.h.%d.", i)
		for _, l := range []struct {
			name    string
			in, out int64
		}{{"attn.c_attn.", c, 3 * c}, {"attn.c_proj.", c, c}, {"crossattention.c_attn.", c, 2 * c},
			{"crossattention.q_attn.", c, c}, {"crossattention.c_proj.", c, c}, {"mlp.c_fc.", c, 4 * c},
			{"mlp.c_proj.", 4 * c, c}} {
			decoder[b+l.name+"weight"], decoder[b+l.name+"bias"] = []int64{l.in, l.out}, []int64{l.out}
		}
		for _, norm := range []string{"ln_1.", "ln_cross_attn.", "ln_2."} {
			decoder[b+norm+"weight"], decoder[b+norm+"bias"] = []int64{c}, []int64{c}
		}
	}
	return writeShapes(t, filepath.Join(dir, "clip.safetensors"), clip) +
		writeShapes(t, filepath.Join(dir, "decoder.safetensors"), decoder)
}

// writeShapes writes tensors of zeros and returns the size of the file.
func writeShapes(t *testing.T, path string, shapes map[string][]int64) int64 {
	t.Helper()
	var tensors []weights.NamedTensor
	for name, shape := range shapes {
		n, err := weights.ByteSize(weights.F32, shape)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, weights.NamedTensor{Name: name, DType: weights.F32, Shape: shape, Data: make([]byte, n)})
	}
	if err := safetensors.WriteFile(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
