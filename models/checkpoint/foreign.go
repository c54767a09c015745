package checkpoint

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights/formats"
)

// ForeignError says that a file or folder is of a kind that belongs to a model but is none.
type ForeignError = family.ForeignError

// evidence is what is known of a checkpoint: of a file its tensors, of a folder or repository its files.
type evidence struct {
	files   []string // names in the folder; none for a file
	tensors []string // their names; none before the weights are opened
	method  string   // of quantization, as config.json names it
}

// whole says whether a folder holds weights under the names that they have when they are a model.
func (e evidence) whole() bool { return formats.WeightsAmong(e.files) != "" }

// file says whether a file has one of the names, which may be patterns.
func (e evidence) file(patterns ...string) bool {
	return slices.ContainsFunc(e.files, func(name string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { ok, err := path.Match(p, name); return ok && err == nil })
	})
}

// tensor says whether the name of a tensor holds one of the parts.
func (e evidence) tensor(parts ...string) bool {
	return slices.ContainsFunc(e.tensors, func(name string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
	})
}

const (
	dequantize = "load it in Python, undo the quantization (dequantize()) and save it in float16 or float32"
	saveAgain  = "load it in Python with transformers and save it by save_pretrained, which writes model.safetensors"
)

// foreignKinds is the table of what belongs to models but is none: how it is recognized, what it is, what is wanted,
// and how to come by that. The first that is found counts.
var foreignKinds = []struct {
	is                  func(e evidence) bool
	found, want, remedy string
}{
	{
		is: func(e evidence) bool {
			return e.tensor(".lora_A.", ".lora_B.", ".lora_embedding_A", ".lora_magnitude_vector") ||
				!e.whole() && e.file("adapter_config.json", "adapter_model.*")
		},
		found: "a LoRA adapter, which holds the changes to another model", want: "the whole model",
		remedy: "peft merges them: model.merge_and_unload().save_pretrained(FOLDER)",
	},
	{
		is:    func(e evidence) bool { return e.tensor(".qweight", ".qzeros") || e.file("quantize_config.json") },
		found: "weights that are quantized by GPTQ or AWQ", want: "plain ones", remedy: dequantize,
	},
	{
		is:    func(e evidence) bool { return e.tensor(".quant_state.", ".SCB", ".absmax", "weight_format") },
		found: "weights that are quantized by bitsandbytes", want: "plain ones", remedy: dequantize,
	},
	{
		is:    func(e evidence) bool { return !e.whole() && e.file("*.gguf") },
		found: "weights of llama.cpp (GGUF), which are quantized for that program", want: "safetensors or PyTorch",
		remedy: "take the model that they were made from",
	},
	{
		is: func(e evidence) bool {
			return !e.whole() && e.file("zero_to_fp32.py", "global_step*", "*mp_rank_*_model_states.pt", "zero_pp_rank_*")
		},
		found: "a checkpoint of DeepSpeed, whose weights are cut up between processes", want: "one file of weights",
		remedy: "the zero_to_fp32.py inside the folder writes one: python zero_to_fp32.py FOLDER model.bin",
	},
	{
		is:    func(e evidence) bool { return !e.whole() && e.file("*.distcp") },
		found: "a checkpoint of FSDP, whose weights are cut up between processes", want: "one file of weights",
		remedy: "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER model.pt writes one",
	},
	{
		is: func(e evidence) bool {
			return !e.whole() && e.file("*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].*")
		},
		found: "shards without their index", want: "the index beside them, such as model.safetensors.index.json",
		remedy: "copy or fetch it from where the shards came from",
	},
	{
		is:    func(e evidence) bool { return !e.whole() && e.file("tf_model.h5", "flax_model.msgpack") },
		found: "weights of TensorFlow or Flax alone", want: "safetensors or PyTorch",
		remedy: "load it in Python (from_tf=True or from_flax=True) and save it by save_pretrained",
	},
	{
		is:    func(e evidence) bool { return !e.whole() && e.file("*.onnx") },
		found: "a network of ONNX", want: "safetensors or PyTorch", remedy: "take the model that it was exported from",
	},
	{
		is: func(e evidence) bool {
			return e.tensor(".exp_avg_sq") && !slices.ContainsFunc(e.tensors, func(n string) bool {
				return !strings.HasPrefix(n, "state.")
			})
		},
		found: "the state of an optimizer", want: "weights", remedy: "the weights lie in another file beside it",
	},
}

// judge finds out what a checkpoint is that is none; nil where nothing says so.
func (e evidence) judge() error {
	if e.method != "" {
		return &ForeignError{Found: "weights that are quantized by " + e.method, Want: "plain ones", Remedy: dequantize}
	}
	for _, k := range foreignKinds {
		if k.is(e) {
			return &ForeignError{Found: k.found, Want: k.want, Remedy: k.remedy}
		}
	}
	return nil
}

// quantization is the method that config.json names; "" where it names none.
func quantization(beside encoder.Folder) string {
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

// foreign says that tensors are no whole model, by their names and by the files beside them; nil where nothing says so.
func foreign(f family.Files) error {
	e := evidence{tensors: f.Source.Names()}
	if f.Folder {
		e.method = quantization(f.Beside)
	}
	return e.judge()
}

// shard matches the name of one file of several that hold one model.
var shard = regexp.MustCompile(`-(\d{5})-of-(\d{5})\.(safetensors|bin)$`)

// magics are how files of other programs begin.
var magics = []struct{ begin, found, remedy string }{
	{
		begin: "GGUF", found: "a file of llama.cpp (GGUF), whose weights are quantized for that program",
		remedy: "take the model that it was made from",
	},
	{begin: "\x89HDF\r\n\x1a\n", found: "a file of TensorFlow (HDF5)", remedy: saveAgain},
}

// foreignPath says that a path leads to a part of a model, or to a kind of file or folder that no format here is; nil
// where it does not. It is asked before anything is opened.
func foreignPath(path string) error {
	if _, err := os.Stat(filepath.Join(path, RunOptionsFile)); err == nil {
		return &ForeignError{
			Found: "the folder of a training run without a model", Want: "one with " + BestFile,
			Remedy: fmt.Sprintf("captioner train --resume %s goes on with it", path),
		}
	}
	if m := shard.FindStringSubmatch(path); m != nil && m[2] != "00001" {
		return &ForeignError{
			Found: fmt.Sprintf("shard %s of %s", strings.TrimLeft(m[1], "0"), strings.TrimLeft(m[2], "0")), Want: "all of them",
			Remedy: fmt.Sprintf("give the folder of the shards and their index: %s", filepath.Dir(path)),
		}
	}
	for _, m := range magics {
		if begins(path, m.begin) {
			return &ForeignError{Found: m.found, Want: "safetensors or PyTorch", Remedy: m.remedy}
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil // a file, or what opening says
	}
	e := evidence{method: quantization(encoder.Dir(path))}
	for _, d := range entries {
		e.files = append(e.files, d.Name())
	}
	return e.judge()
}

// begins says whether a regular file begins with some bytes.
func begins(path, magic string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(magic))
	n, _ := io.ReadFull(f, b)
	return string(b[:n]) == magic
}

// What a training run leaves in its folder.
const (
	BestFile       = "best.safetensors"      // the best model
	RunOptionsFile = "options.json"          // what the run was asked for
	MetaTrainState = "captioner.train.state" // the metadata of the file that --resume goes on from, which is no model
)

// foreignMeta says by the metadata of a file that it is no model; nil where it does not.
func foreignMeta(path string, meta map[string]string) error {
	if meta[MetaTrainState] == "" {
		return nil
	}
	return &ForeignError{
		Found: "the state of a training run, from which it can go on", Want: "its model",
		Remedy: fmt.Sprintf("--model %s is the best model of that run", filepath.Join(filepath.Dir(path), BestFile)),
	}
}

// modelOf is the model in the folder of a training run, and any other path as it is.
func modelOf(path string) string {
	best := filepath.Join(path, BestFile)
	if info, err := os.Stat(best); err != nil || info.IsDir() {
		return path
	}
	if _, err := os.Stat(filepath.Join(path, "config.json")); err == nil {
		return path // a folder of Hugging Face with a file of that name
	}
	return best
}
