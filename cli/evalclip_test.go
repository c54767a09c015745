package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	stdimage "image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/weights"
	"captioner/weights/safetensors"
)

// clipFixture writes what models/clipscore is tested with as files that a user would have: clip.safetensors, images,
// refs.json and results.json. It returns the fixture.
func clipFixture(t *testing.T, dir string) weights.Source {
	t.Helper()
	src, err := safetensors.Open("../models/clipscore/testdata/clipscore.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	tensors := []weights.NamedTensor{tokenTable(49408, 32)}
	for _, name := range src.Names() {
		if own, ok := strings.CutPrefix(name, "model."); ok {
			x := tensor(t, src, name)
			x.Name = own
			tensors = append(tensors, x)
		}
	}
	if err := safetensors.WriteFile(filepath.Join(dir, "clip.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	var captions []string
	var references [][]string
	for key, into := range map[string]any{"captions": &captions, "references": &references} {
		if err := json.Unmarshal([]byte(src.Metadata()[key]), into); err != nil {
			t.Fatal(err)
		}
	}
	var images, annotations, results []map[string]any
	for i, c := range captions {
		file := fmt.Sprintf("%d.png", i)
		writePNG(t, filepath.Join(dir, file), tensor(t, src, fmt.Sprintf("picture.%d", i)))
		images = append(images, map[string]any{"id": i, "file_name": file})
		results = append(results, map[string]any{"image_id": i, "caption": c})
		for _, r := range references[i] {
			annotations = append(annotations, map[string]any{"image_id": i, "caption": r})
		}
	}
	for name, v := range map[string]any{
		"refs.json":    map[string]any{"images": images, "annotations": annotations},
		"results.json": results,
	} {
		b, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return src
}

// tokenTable is the fixture's table of tokens, which follows from a formula.
func tokenTable(vocab, width int) weights.NamedTensor {
	b := make([]byte, 0, vocab*width*4)
	for i := range vocab {
		for j := range width {
			v := float32((i*7919+j*104729+i*j*31)%1001-500) / 500
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	shape := []int64{int64(vocab), int64(width)}
	return weights.NamedTensor{Name: "token_embedding.weight", DType: weights.F32, Shape: shape, Data: b}
}

func tensor(t *testing.T, src weights.Source, name string) weights.NamedTensor {
	t.Helper()
	x, err := src.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// writePNG writes the pixels of a tensor [H, W, 3] of bytes.
func writePNG(t *testing.T, path string, x weights.NamedTensor) {
	t.Helper()
	m := stdimage.NewNRGBA(stdimage.Rect(0, 0, int(x.Shape[1]), int(x.Shape[0])))
	for i := range len(x.Data) / 3 {
		copy(m.Pix[4*i:], append(x.Data[3*i:3*i+3:3*i+3], 255))
	}
	var b bytes.Buffer
	err := png.Encode(&b, m)
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mean is that of a fixture's numbers.
func mean(t *testing.T, src weights.Source, name string) float64 {
	t.Helper()
	x, sum := tensor(t, src, name), 0.0
	for i := 0; i < len(x.Data); i += 4 {
		sum += float64(math.Float32frombits(binary.LittleEndian.Uint32(x.Data[i:])))
	}
	return sum / float64(len(x.Data)/4)
}

// What eval prints with --clip is the mean of what jmhessel/clipscore gives each image; one that cannot be read is
// left out and told of.
func TestEvalWithCLIP(t *testing.T) {
	dir := t.TempDir()
	src := clipFixture(t, dir)
	eval := func(want int, more ...string) (out map[string]any, stderr string) {
		t.Helper()
		var o, e bytes.Buffer
		args := []string{"captioner", "eval", "--json", "--clip", filepath.Join(dir, "clip.safetensors"),
			"--heads", "text=1", "--device", "cpu",
			"--references", filepath.Join(dir, "refs.json"), "--images", dir,
			"--predictions", filepath.Join(dir, "results.json")}
		if got := newProgram(strings.NewReader(""), &o, &e).main(context.Background(), append(args, more...)); got != want {
			t.Fatalf("exit status %d, want %d\n%s", got, want, e.String())
		}
		if err := json.Unmarshal(o.Bytes(), &out); err != nil {
			t.Fatalf("%v in %q", err, o.String())
		}
		return out, e.String()
	}
	got, said := eval(0)
	const doubt = "no file says the activation of the scoring CLIP, CLIP ViT"
	if !strings.Contains(said, doubt) || !strings.Contains(said, "--clip-activation says which it is") {
		t.Errorf("stderr: got %s, want %q and the flag that settles it", said, doubt)
	}
	if same, said := eval(0, "--clip-activation", "quick_gelu"); strings.Contains(said, "activation") ||
		same["CLIPScore"] != got["CLIPScore"] {
		t.Errorf("with the activation given: got %v and %s, want %v and nothing said", same, said, got)
	}
	if other, said := eval(0, "--clip-activation", "gelu"); strings.Contains(said, "activation") ||
		other["CLIPScore"] == got["CLIPScore"] {
		t.Errorf("with another activation: got %v and %s, want another score and nothing said", other, said)
	}
	for key, name := range map[string]string{"CLIPScore": "clipscore", "RefCLIPScore": "refclipscore"} {
		value, _ := got[key].(float64)
		if want := mean(t, src, name); !(math.Abs(value-want) <= 2e-6) {
			t.Errorf("%s: got %v, want %v", key, got[key], want)
		}
		if interval, _ := got["intervals"].(map[string]any)[key].([]any); len(interval) != 2 {
			t.Errorf("%s: no interval in %v", key, got["intervals"])
		}
	}
	if _, also := got["CIDEr"]; !also {
		t.Error("the measures of words are gone")
	}
	if s, _ := got["signature"].(string); !strings.Contains(s, "clip.safetensors") {
		t.Errorf("the signature %q does not name the CLIP", s)
	}

	if err := os.WriteFile(filepath.Join(dir, "0.png"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, stderr := eval(3, "--metric", "clipscore", "--against", filepath.Join(dir, "results.json"),
		"--report", filepath.Join(dir, "report.html"))
	if !strings.Contains(stderr, "0.png") {
		t.Errorf("the broken picture is not named: %s", stderr)
	}
	if _, also := got["CIDEr"]; also || got["CLIPScore"] == nil {
		t.Errorf("--metric clipscore gave %v", got)
	}
	if unseen := got["warnings"].(map[string]any)["unseen"]; unseen != 1. {
		t.Errorf("pictures that cannot be read: got %v, want 1", unseen)
	}
	differences := got["against"].(map[string]any)["differences"].(map[string]any)
	if d, _ := differences["CLIPScore"].(map[string]any); d["difference"] != 0. {
		t.Errorf("against itself: got %v, want no difference", d)
	}
}
