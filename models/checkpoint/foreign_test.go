package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/models/captioner/demo"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// tensorsFile writes one number under each of the names.
func tensorsFile(t *testing.T, path string, names ...string) {
	t.Helper()
	var tensors []weights.NamedTensor
	for _, name := range names {
		x, err := weights.FromFloat32s(name, weights.F32, []int64{1}, []float32{1})
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := safetensors.WriteFile(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
}

// TestForeign gives what belongs to a model but is none, as a model and as an encoder. Each is named, with its remedy.
func TestForeign(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(dir string) (path string)
		want string
		hint string
	}{
		{
			name: "LoRA adapter",
			make: func(dir string) string {
				path := filepath.Join(dir, "adapter_model.safetensors")
				tensorsFile(t, path, "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight")
				return path
			},
			want: "found a LoRA adapter",
			hint: "merge_and_unload",
		},
		{
			name: "GPTQ",
			make: func(dir string) string {
				path := filepath.Join(dir, "model.safetensors")
				tensorsFile(t, path, "transformer.h.0.attn.c_attn.qweight", "transformer.h.0.attn.c_attn.qzeros")
				return path
			},
			want: "quantized by GPTQ or AWQ",
			hint: "dequantize",
		},
		{
			name: "bitsandbytes in a folder",
			make: func(dir string) string {
				tensorsFile(t, filepath.Join(dir, "model.safetensors"), "transformer.wte.weight")
				write(t, dir, "config.json", `{"model_type": "gpt2", "quantization_config": {"quant_method": "bitsandbytes"}}`)
				return dir
			},
			want: "quantized by bitsandbytes",
			hint: "dequantize",
		},
		{
			name: "one shard",
			make: func(dir string) string {
				path := filepath.Join(dir, "model-00002-of-00003.safetensors")
				tensorsFile(t, path, "transformer.wte.weight")
				return path
			},
			want: "found shard 2 of 3, want all of them",
			hint: "give the folder",
		},
		{
			name: "DeepSpeed",
			make: func(dir string) string {
				write(t, dir, "zero_to_fp32.py", "")
				write(t, dir, "latest", "global_step10")
				return dir
			},
			want: "found a checkpoint of DeepSpeed",
			hint: "zero_to_fp32.py",
		},
		{
			name: "GGUF",
			make: func(dir string) string {
				write(t, dir, "model.gguf", "GGUF\x03\x00\x00\x00")
				return filepath.Join(dir, "model.gguf")
			},
			want: "llama.cpp",
			hint: "made from",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.make(t.TempDir())
			_, asModel := Open(path)
			_, asEncoder := OpenEncoder(path)
			for as, err := range map[string]error{"model": asModel, "encoder": asEncoder} {
				oneLineWith(t, as, err, tt.want)
				var hinted interface{ Hint() string }
				if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tt.hint) {
					t.Errorf("%s: got %v, want a hint with %q", as, err, tt.hint)
				}
			}
		})
	}
}

// TestRunFolder opens the best model of a training run by the folder of the run.
func TestRunFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, BestFile), demo.Model, 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if want := filepath.Join(dir, BestFile); c.Path != want {
		t.Errorf("got the model %q, want %q", c.Path, want)
	}
}

// TestHeadsAreNotGuessed opens a state dict whose width is no multiple of 64, without and with a config.json.
func TestHeadsAreNotGuessed(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile(filepath.Join(pythonDir, "state-dict.pt"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "state-dict.pt", string(b))
	words, err := Open(filepath.Join(pythonDir, "model-1.4.4.pt"))
	if err != nil {
		t.Fatal(err)
	}
	defer words.Close()
	text, err := words.Tokenizer.JSON()
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tokenizer.json", string(text))
	_, err = Open(filepath.Join(dir, "state-dict.pt"))
	var unknown *HeadsUnknownError
	if !errors.As(err, &unknown) || unknown.Width != 32 {
		t.Errorf("got %v, want a HeadsUnknownError of width 32", err)
	}
}
