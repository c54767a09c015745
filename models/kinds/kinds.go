// Package kinds knows what belongs to models but is none that is read: adapters, quantized weights, files of other
// programs, parts. It is told by the names of files and tensors.
package kinds

import (
	"path"
	"slices"
	"strings"

	"captioner/models/encoder"
	"captioner/weights/formats"
)

// Evidence is what is known of a checkpoint: of a file its tensors, of a folder or repository its files.
type Evidence struct {
	Files   []string // names in the folder; none for a file
	Tensors []string // their names; none before the weights are opened
	Method  string   // of quantization, as config.json names it
}

// whole says whether a folder holds weights under the names that they have when they are a model.
func (e Evidence) whole() bool { return formats.WeightsAmong(e.Files) != "" }

// file says whether a file has one of the names, which may be patterns.
func (e Evidence) file(patterns ...string) bool {
	return slices.ContainsFunc(e.Files, func(name string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { ok, err := path.Match(p, name); return ok && err == nil })
	})
}

// tensor says whether the name of a tensor holds one of the parts.
func (e Evidence) tensor(parts ...string) bool {
	return slices.ContainsFunc(e.Tensors, func(name string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
	})
}

const (
	dequantize = "load it in Python, undo the quantization (dequantize()) and save it in float16 or float32"
	// SaveAgain is how Python makes weights that are read of those of another library.
	SaveAgain = "load it in Python with transformers and save it by save_pretrained, which writes model.safetensors"
)

// foreignKinds is the table of what belongs to models but is none: how it is recognized, what it is, what is wanted,
// and how to come by that. The first that is found counts.
var foreignKinds = []struct {
	is                  func(e Evidence) bool
	found, want, remedy string
}{
	{
		is: func(e Evidence) bool {
			return e.tensor(".lora_A.", ".lora_B.", ".lora_embedding_A", ".lora_magnitude_vector") ||
				!e.whole() && e.file("adapter_config.json", "adapter_model.*")
		},
		found: "a LoRA adapter, which holds the changes to another model", want: "the whole model",
		remedy: "peft merges them: model.merge_and_unload().save_pretrained(FOLDER)",
	},
	{
		is:    func(e Evidence) bool { return e.tensor(".qweight", ".qzeros") || e.file("quantize_config.json") },
		found: "weights that are quantized by GPTQ or AWQ", want: "plain ones", remedy: dequantize,
	},
	{
		is:    func(e Evidence) bool { return e.tensor(".quant_state.", ".SCB", ".absmax", "weight_format") },
		found: "weights that are quantized by bitsandbytes", want: "plain ones", remedy: dequantize,
	},
	{
		is:    func(e Evidence) bool { return !e.whole() && e.file("*.gguf") },
		found: "weights of llama.cpp (GGUF), which are quantized for that program", want: "safetensors or PyTorch",
		remedy: "take the model that they were made from",
	},
	{
		is: func(e Evidence) bool {
			return !e.whole() && e.file("zero_to_fp32.py", "global_step*", "*mp_rank_*_model_states.pt", "zero_pp_rank_*")
		},
		found: "a checkpoint of DeepSpeed, whose weights are cut up between processes", want: "one file of weights",
		remedy: "the zero_to_fp32.py inside the folder writes one: python zero_to_fp32.py FOLDER model.bin",
	},
	{
		is:    func(e Evidence) bool { return !e.whole() && e.file("*.distcp") },
		found: "a checkpoint of FSDP, whose weights are cut up between processes", want: "one file of weights",
		remedy: "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER model.pt writes one",
	},
	{
		is: func(e Evidence) bool {
			return !e.whole() && e.file("*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].*")
		},
		found: "shards without their index", want: "the index beside them, such as model.safetensors.index.json",
		remedy: "copy or fetch it from where the shards came from",
	},
	{
		is:    func(e Evidence) bool { return !e.whole() && e.file("tf_model.h5", "flax_model.msgpack") },
		found: "weights of TensorFlow or Flax alone", want: "safetensors or PyTorch",
		remedy: "load it in Python (from_tf=True or from_flax=True) and save it by save_pretrained",
	},
	{
		is:    func(e Evidence) bool { return !e.whole() && e.file("*.onnx", "onnx") },
		found: "a network of ONNX", want: "safetensors or PyTorch", remedy: "take the model that it was exported from",
	},
	{
		is:    func(e Evidence) bool { return !e.whole() && e.file("openvino_*.xml", "openvino_*.bin") },
		found: "a network of OpenVINO", want: "safetensors or PyTorch",
		remedy: "take the model that it was exported from",
	},
	{
		is:    func(e Evidence) bool { return !e.whole() && e.file("*.mlpackage", "*.mlmodel", "*.mlmodelc") },
		found: "a network of Core ML", want: "safetensors or PyTorch",
		remedy: "take the model that it was exported from",
	},
	{
		is: func(e Evidence) bool {
			return !e.whole() && e.file("weights.npz", "weights.*.npz") || e.tensor(".scales") && e.tensor(".biases")
		},
		found: "weights of MLX", want: "those of transformers", remedy: "take the model that they were made from",
	},
	{
		is:    func(e Evidence) bool { return !e.whole() && e.file("checkpoint-[0-9]*") },
		found: "the folder of a training run with its checkpoints inside", want: "one of them",
		remedy: "add its name to that of the folder: FOLDER/checkpoint-1000, the one with the largest number is the last",
	},
	{
		is: func(e Evidence) bool {
			return e.tensor(".exp_avg_sq") && !slices.ContainsFunc(e.Tensors, func(n string) bool {
				return !strings.HasPrefix(n, "state.")
			})
		},
		found: "the state of an optimizer", want: "weights", remedy: "the weights lie in another file beside it",
	},
}

// Judge finds out what a checkpoint is that is none; nil where nothing says so.
func (e Evidence) Judge() error {
	if e.Method != "" {
		found := "weights that are quantized by " + e.Method
		return &encoder.ForeignError{Found: found, Want: "plain ones", Remedy: dequantize}
	}
	for _, k := range foreignKinds {
		if k.is(e) {
			return &encoder.ForeignError{Found: k.found, Want: k.want, Remedy: k.remedy}
		}
	}
	return nil
}

// Quantization is the method that config.json names; "" where it names none.
func Quantization(beside encoder.Folder) string {
	var config struct {
		Quantization struct {
			Method string `json:"quant_method"`
			In4    bool   `json:"load_in_4bit"`
			In8    bool   `json:"load_in_8bit"`
		} `json:"quantization_config"`
	}
	q := &config.Quantization
	if err := encoder.ReadOptional(beside, "config.json", &config); err != nil {
		return "" // whoever reads the whole of it says what is wrong
	}
	if q.Method == "" && (q.In4 || q.In8) {
		return "bitsandbytes"
	}
	return q.Method
}
