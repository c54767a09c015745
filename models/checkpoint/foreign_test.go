package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/models/captioner/demo"
	"captioner/models/encoder"
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

// TestForeign gives what belongs to a model but is none, as a model, as an encoder and as a language model. Each is
// named, with its remedy, on one line.
func TestForeign(t *testing.T) {
	const plain = `{"model_type": "gpt2", "add_cross_attention": true}`
	folder := func(files ...string) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			for i := 0; i < len(files); i += 2 {
				write(t, dir, files[i], files[i+1])
			}
			return dir
		}
	}
	file := func(name string, tensors ...string) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			path := filepath.Join(dir, name)
			tensorsFile(t, path, tensors...)
			return path
		}
	}
	quantized := func(config string) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			tensorsFile(t, filepath.Join(dir, "model.safetensors"), "transformer.wte.weight")
			write(t, dir, "config.json", `{"model_type": "gpt2", "quantization_config": `+config+`}`)
			return dir
		}
	}
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir string) (path string)
		want string
		hint string
	}{
		{
			name: "LoRA adapter",
			make: file("adapter_model.safetensors", "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"),
			want: "found a LoRA adapter", hint: "merge_and_unload",
		},
		{
			name: "folder of a LoRA adapter",
			make: folder("adapter_config.json", `{"peft_type": "LORA"}`, "adapter_model.bin", ""),
			want: "found a LoRA adapter", hint: "merge_and_unload",
		},
		{
			name: "GPTQ",
			make: file("x.safetensors", "transformer.h.0.attn.c_attn.qweight", "transformer.h.0.attn.c_attn.qzeros"),
			want: "quantized by GPTQ or AWQ", hint: "dequantize",
		},
		{
			name: "old folder of GPTQ",
			make: folder("quantize_config.json", `{"bits": 4}`, "config.json", plain, "gptq_model-4bit-128g.safetensors", ""),
			want: "quantized by GPTQ or AWQ", hint: "dequantize",
		},
		{name: "AWQ", make: quantized(`{"quant_method": "awq"}`), want: "quantized by awq", hint: "dequantize"},
		{name: "fp8", make: quantized(`{"quant_method": "fbgemm_fp8"}`), want: "quantized by fbgemm_fp8", hint: "dequantize"},
		{
			name: "bitsandbytes", make: quantized(`{"quant_method": "bitsandbytes"}`),
			want: "quantized by bitsandbytes", hint: "dequantize",
		},
		{
			name: "old bitsandbytes", make: quantized(`{"load_in_8bit": true}`),
			want: "quantized by bitsandbytes", hint: "dequantize",
		},
		{
			name: "file of bitsandbytes",
			make: file("x.safetensors", "model.weight", "model.weight.absmax", "model.weight.quant_state.bitsandbytes__nf4"),
			want: "quantized by bitsandbytes", hint: "dequantize",
		},
		{
			name: "one shard", make: file("model-00002-of-00003.safetensors", "transformer.wte.weight"),
			want: "found shard 2 of 3, want all of them", hint: "give the folder",
		},
		{
			name: "shards without an index",
			make: folder("config.json", plain, "model-00001-of-00002.safetensors", "", "model-00002-of-00002.safetensors", ""),
			want: "found shards without their index", hint: "copy or fetch it",
		},
		{
			name: "a shard missing",
			make: folder("config.json", plain, "model-00001-of-00002.safetensors", "", "model.safetensors.index.json",
				`{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}`),
			want: "found 2 shards named, without model-00002-of-00002.safetensors, want all of them", hint: "again",
		},
		{
			name: "DeepSpeed", make: folder("zero_to_fp32.py", "", "latest", "global_step10"),
			want: "found a checkpoint of DeepSpeed", hint: "zero_to_fp32.py",
		},
		{
			name: "inner folder of DeepSpeed",
			make: folder("zero_pp_rank_0_mp_rank_00_optim_states.pt", "", "mp_rank_00_model_states.pt", ""),
			want: "found a checkpoint of DeepSpeed", hint: "zero_to_fp32.py",
		},
		{
			name: "outer folder of DeepSpeed",
			make: func(t *testing.T, dir string) string {
				tensorsFile(t, filepath.Join(dir, "global_step10", "mp_rank_00_model_states.pt"), "x")
				return dir
			},
			want: "found a checkpoint of DeepSpeed", hint: "zero_to_fp32.py",
		},
		{
			name: "ONNX in a folder", make: folder("config.json", plain, "onnx", ""),
			want: "found a network of ONNX", hint: "exported",
		},
		{
			name: "OpenVINO", make: folder("config.json", plain, "openvino_model.bin", "", "openvino_model.xml", ""),
			want: "found a network of OpenVINO", hint: "exported",
		},
		{
			name: "Core ML", make: folder("config.json", plain, "model.mlpackage", ""),
			want: "found a network of Core ML", hint: "exported",
		},
		{
			name: "MLX", make: folder("config.json", plain, "weights.npz", ""), want: "found weights of MLX", hint: "made from",
		},
		{
			name: "quantized by MLX", make: file("x.safetensors", "a.weight", "a.scales", "a.biases"),
			want: "found weights of MLX", hint: "made from",
		},
		{
			name: "folder of checkpoints", make: folder("checkpoint-500", ""),
			want: "with its checkpoints inside", hint: "FOLDER/checkpoint-1000",
		},
		{
			name: "FSDP", make: folder(".metadata", "", "__0_0.distcp", ""),
			want: "found a checkpoint of FSDP", hint: "dcp_to_torch",
		},
		{
			name: "GGUF",
			make: func(t *testing.T, dir string) string {
				write(t, dir, "model.gguf", "GGUF\x03\x00\x00\x00")
				return filepath.Join(dir, "model.gguf")
			},
			want: "llama.cpp", hint: "made from",
		},
		{
			name: "folder of GGUF", make: folder("README.md", "", "model-Q4_K_M.gguf", "GGUF"),
			want: "llama.cpp", hint: "made from",
		},
		{
			name: "TensorFlow", make: folder("config.json", plain, "tf_model.h5", ""),
			want: "weights of TensorFlow or Flax alone", hint: "save_pretrained",
		},
		{
			name: "file of TensorFlow",
			make: func(t *testing.T, dir string) string {
				write(t, dir, "tf_model.h5", "\x89HDF\r\n\x1a\n")
				return filepath.Join(dir, "tf_model.h5")
			},
			want: "a file of TensorFlow", hint: "save_pretrained",
		},
		{
			name: "an optimizer", make: file("optimizer.pt", "state.0.exp_avg", "state.0.exp_avg_sq", "state.0.step"),
			want: "found the state of an optimizer", hint: "another file",
		},
		{
			name: "ONNX", make: folder("config.json", plain, "model.onnx", ""),
			want: "a network of ONNX", hint: "exported from",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.make(t, t.TempDir())
			_, asModel := Open(path)
			_, asEncoder := OpenEncoder(path)
			_, asLanguage := OpenLanguage(path)
			for as, err := range map[string]error{"model": asModel, "encoder": asEncoder, "language model": asLanguage} {
				oneLineWith(t, as, err, tt.want)
				var hinted interface{ Hint() string }
				if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tt.hint) {
					t.Errorf("%s: got %v, want a hint with %q", as, err, tt.hint)
				}
			}
		})
	}
}

// TestVet asks by descriptions and names of files alone whether a repository is worth fetching.
func TestVet(t *testing.T) {
	const (
		blipConfig = `{"model_type": "blip", "architectures": ["BlipForConditionalGeneration"]}`
		vision     = `{"model_type": "vision-encoder-decoder", "architectures": ["VisionEncoderDecoderModel"],
			"encoder": {"model_type": "%s"}, "decoder": {"model_type": "%s"}}`
		all = "want BLIP (BlipForConditionalGeneration), GIT (GitForCausalLM)"
	)
	for _, tt := range []struct {
		name   string
		use    Use
		file   string // config.json where it is empty
		config string
		files  []string
		alone  bool   // without the tokenizer's files
		want   string // "" passes
	}{
		{name: "BLIP", use: AsCaptioner, config: blipConfig},
		{name: "BLIP without a class", use: AsCaptioner, config: `{"model_type": "blip"}`},
		{
			name: "BLIP without its processor", use: AsCaptioner, config: blipConfig, alone: true,
			want: "found neither tokenizer.json nor vocab.txt beside the weights",
		},
		{name: "BLIP as an encoder", use: AsEncoder, config: blipConfig},
		{name: "BLIP for anything", use: AnyUse, config: blipConfig},
		{
			name: "BLIP for questions", use: AsCaptioner,
			config: `{"model_type": "blip", "architectures": ["BlipForQuestionAnswering"]}`,
			want:   "found a BLIP for questions, want one for captions",
		},
		{
			name: "BLIP for retrieval", use: AsCaptioner,
			config: `{"model_type": "blip", "architectures": ["BlipForImageTextRetrieval"]}`,
			want:   "found a BLIP for retrieval, want one for captions",
		},
		{name: "GIT", use: AsCaptioner, config: `{"model_type": "git", "architectures": ["GitForCausalLM"]}`},
		{
			name: "GIT for videos", use: AsCaptioner,
			config: `{"model_type": "git", "architectures": ["GitForCausalLM"], "num_image_with_embedding": 6}`,
			want:   "a GIT for videos of 6 frames (num_image_with_embedding), want one for images",
		},
		{
			name: "GIT without a head", use: AsCaptioner, config: `{"model_type": "git", "architectures": ["GitModel"]}`,
			want: `found GitModel (model_type "git"), ` + all,
		},
		{name: "ViT with GPT-2", use: AsCaptioner, config: fmt.Sprintf(vision, "vit", "gpt2")},
		{
			name: "ViT with BERT", use: AsCaptioner, config: fmt.Sprintf(vision, "vit", "bert"),
			want: "a VisionEncoderDecoderModel whose decoder is bert, want GPT-2",
		},
		{
			name: "Donut's encoder", use: AsCaptioner, config: fmt.Sprintf(vision, "donut-swin", "gpt2"),
			want: "a VisionEncoderDecoderModel whose encoder is donut-swin, want one of BLIP",
		},
		{
			name: "LLaVA", use: AsCaptioner,
			config: `{"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]}`,
			want:   `found LlavaForConditionalGeneration (model_type "llava"), ` + all,
		},
		{
			name: "BERT for anything", use: AnyUse, config: `{"model_type": "bert", "architectures": ["BertModel"]}`,
			want: `found BertModel (model_type "bert"), ` + all,
		},
		{name: "CLIP as an encoder", use: AsEncoder, config: `{"model_type": "clip", "architectures": ["CLIPModel"]}`},
		{
			name: "CLIP as a captioner", use: AsCaptioner, config: `{"model_type": "clip", "architectures": ["CLIPModel"]}`,
			want: `found the encoder CLIPModel (model_type "clip") alone, want a captioner's model`,
		},
		{
			name: "LLaMA as an encoder", use: AsEncoder, config: `{"model_type": "llama"}`,
			want: `found model_type "llama", want `,
		},
		{name: "GPT-2 as a language model", use: AsLanguage, config: `{"model_type": "gpt2"}`},
		{
			name: "GPT-2 as a captioner", use: AsCaptioner, config: `{"model_type": "gpt2"}`,
			want: "found GPT-2 without cross-attention, which cannot see, want a captioner",
		},
		{
			name: "OPT as a language model", use: AsLanguage, config: `{"model_type": "opt"}`,
			want: `found model_type "opt", want GPT-2 (GPT2LMHeadModel)`,
		},
		{name: "CLIP for scores", use: AsCLIP, config: `{"model_type": "clip"}`},
		{name: "ViT for scores", use: AsCLIP, config: `{"model_type": "vit"}`, want: `found model_type "vit", want CLIP`},
		{
			name: "OpenCLIP", use: AsEncoder, file: "open_clip_config.json",
			config: `{"model_cfg": {"vision_cfg": {"layers": 12}}}`,
		},
		{
			name: "OpenCLIP with a tower of timm", use: AsEncoder, file: "open_clip_config.json",
			config: `{"model_cfg": {"vision_cfg": {"timm_model_name": "convnext_base"}}}`,
			want:   "found an OpenCLIP model whose vision tower is timm's convnext_base, want ",
		},
		{name: "nothing described", use: AsCaptioner, file: "README.md", files: []string{"mine.safetensors"}},
		{
			name: "GGUF", use: AsCaptioner, file: "README.md", files: []string{"model-Q4.gguf", "model-Q8.gguf"},
			want: "found weights of llama.cpp (GGUF)",
		},
		{
			name: "LoRA", use: AsCaptioner, file: "README.md",
			files: []string{"adapter_config.json", "adapter_model.safetensors"},
			want:  "found a LoRA adapter",
		},
		{
			name: "quantized", use: AsCaptioner, files: []string{"model.safetensors"},
			config: `{"model_type": "blip", "quantization_config": {"quant_method": "gptq"}}`,
			want:   "found weights that are quantized by gptq",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file == "" {
				tt.file = "config.json"
			}
			write(t, dir, tt.file, tt.config)
			if !tt.alone {
				write(t, dir, "tokenizer.json", "{}")
			}
			err := Known().Vet(tt.use, encoder.Dir(dir), append(tt.files, tt.file))
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			oneLineWith(t, "vet", err, tt.want)
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) || hinted.Hint() == "" {
				t.Errorf("got %v, want a hint", err)
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
	var unknown *encoder.HeadsUnknownError
	if !errors.As(err, &unknown) || unknown.Width != 32 {
		t.Errorf("got %v, want a HeadsUnknownError of width 32", err)
	}

	known := Known()
	known.Heads = &encoder.Heads{Of: map[encoder.Part]int64{encoder.DecoderPart: 4}}
	c, err := known.Open(filepath.Join(dir, "state-dict.pt"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, _ := c.Config.Decoder.(encoder.Headed).HeadCount(); n != 4 {
		t.Errorf("got %d heads, want the 4 that were given", n)
	}
}
