package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"captioner/models/encoder"
	"captioner/models/family"
)

// A ForeignError says that a file or folder is of a kind that belongs to a model but is none, and how to make one of
// it.
type ForeignError struct {
	Found  string // what it is
	Want   string
	Remedy string
}

func (e *ForeignError) Error() string { return "found " + e.Found + ", want " + e.Want }

// Hint says how to make a model of it.
func (e *ForeignError) Hint() string { return e.Remedy }

// foreign says that tensors are no whole model, by their names and by the files beside them; nil where nothing says so.
func foreign(f family.Files) error {
	names := f.Source.Names()
	has := func(parts ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
		})
	}
	if has(".lora_A.", ".lora_B.", ".lora_embedding_A", ".lora_magnitude_vector") {
		return &ForeignError{
			Found: "a LoRA adapter, which holds the changes to another model", Want: "the whole model",
			Remedy: "peft merges them: model.merge_and_unload().save_pretrained(FOLDER)",
		}
	}
	const remedy = "load it in Python, undo the quantization (dequantize()) and save it in float16 or float32"
	var config struct {
		Quantization struct {
			Method string `json:"quant_method"`
		} `json:"quantization_config"`
	}
	err := encoder.ReadOptional(f.Beside, "config.json", &config)
	switch method := config.Quantization.Method; {
	case f.Folder && err == nil && method != "":
		return &ForeignError{Found: "weights that are quantized by " + method, Want: "plain ones", Remedy: remedy}
	case has(".qweight", ".qzeros"):
		return &ForeignError{Found: "weights that are quantized by GPTQ or AWQ", Want: "plain ones", Remedy: remedy}
	case has(".quant_state.", ".SCB", ".absmax", "weight_format"):
		return &ForeignError{Found: "weights that are quantized by bitsandbytes", Want: "plain ones", Remedy: remedy}
	}
	return nil
}

// shard matches the name of one file of several that hold one model.
var shard = regexp.MustCompile(`-(\d{5})-of-(\d{5})\.(safetensors|bin)$`)

// foreignPath says that a path leads to a part of a model, or to a kind of file that no format here is; nil where it
// does not. It is asked before the file is opened.
func foreignPath(path string) error {
	if m := shard.FindStringSubmatch(path); m != nil && m[2] != "00001" {
		return &ForeignError{
			Found: fmt.Sprintf("shard %s of %s", strings.TrimLeft(m[1], "0"), strings.TrimLeft(m[2], "0")), Want: "all of them",
			Remedy: fmt.Sprintf("give the folder of the shards and their index: %s", filepath.Dir(path)),
		}
	}
	if isDeepSpeed(path) {
		return &ForeignError{
			Found: "a checkpoint of DeepSpeed, whose weights are cut up between processes", Want: "one file of weights",
			Remedy: "the zero_to_fp32.py inside the folder writes one: python zero_to_fp32.py FOLDER model.bin",
		}
	}
	if begins(path, "GGUF") {
		return &ForeignError{
			Found: "a file of llama.cpp (GGUF), whose weights are quantized for that program", Want: "safetensors or PyTorch",
			Remedy: "take the model that it was made from",
		}
	}
	return nil
}

// isDeepSpeed says whether a folder is one of DeepSpeed's, which holds shards of the optimizer and of the weights.
func isDeepSpeed(path string) bool {
	for _, pattern := range []string{"zero_to_fp32.py", "*/mp_rank_*_model_states.pt", "mp_rank_*_model_states.pt"} {
		if found, err := filepath.Glob(filepath.Join(escapeGlob(path), pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// escapeGlob keeps signs of a path from being read as a pattern.
func escapeGlob(path string) string {
	return regexp.MustCompile(`[*?\[\\]`).ReplaceAllString(path, `\$0`)
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
	n, _ := f.Read(b)
	return string(b[:n]) == magic
}

// BestFile is the name of the best model in the folder of a training run.
const BestFile = "best.safetensors"

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

// A HeadsUnknownError says that the number of attention heads of a decoder cannot be known: no weight says it, and the
// width is none that models with heads of 64 channels have.
type HeadsUnknownError struct{ Width int64 }

func (e *HeadsUnknownError) Error() string {
	const found = "found GPT-2 of width %d, whose number of heads no weight says, want a config.json beside the file"
	return fmt.Sprintf(found, e.Width)
}

// Hint says how to give the number.
func (e *HeadsUnknownError) Hint() string {
	return "the config.json that its model was saved with holds n_head: copy it beside the file"
}
