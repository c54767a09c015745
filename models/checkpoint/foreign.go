package checkpoint

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/kinds"
)

// ForeignError says that a file or folder is of a kind that belongs to a model but is none.
type ForeignError = family.ForeignError

// foreign says that tensors are no whole model, by their names and by the files beside them; nil where nothing says so.
func foreign(f family.Files) error {
	e := kinds.Evidence{Tensors: f.Source.Names()}
	if f.Folder {
		e.Method = kinds.Quantization(f.Beside)
	}
	return e.Judge()
}

// shard matches the name of one file of several that hold one model.
var shard = regexp.MustCompile(`-(\d{5})-of-(\d{5})\.(safetensors|bin)$`)

// magics are how files of other programs begin.
var magics = []struct{ begin, found, remedy string }{
	{
		begin: "GGUF", found: "a file of llama.cpp (GGUF), whose weights are quantized for that program",
		remedy: "take the model that it was made from",
	},
	{begin: "\x89HDF\r\n\x1a\n", found: "a file of TensorFlow (HDF5)", remedy: kinds.SaveAgain},
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
	e := kinds.Evidence{Method: kinds.Quantization(encoder.Dir(path))}
	for _, d := range entries {
		e.Files = append(e.Files, d.Name())
	}
	return e.Judge()
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
