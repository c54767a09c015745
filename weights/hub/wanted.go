package hub

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"captioner/weights"
	"captioner/weights/formats"
)

// The descriptions of Hugging Face and of OpenCLIP.
const (
	configFile   = "config.json"
	openCLIPFile = "open_clip_config.json"
)

// descriptions are the small files that say what weights are, what is done to images, and how text becomes tokens;
// also those that tell what captioner does not read.
var descriptions = []string{
	configFile, "generation_config.json", "preprocessor_config.json", "processor_config.json",
	"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt",
	"special_tokens_map.json", "added_tokens.json",
	openCLIPFile, captionerFile, "adapter_config.json", "quantize_config.json",
}

// captionerFile describes a captioner that captioner wrote as a folder, and companions are the weights that it may have
// beside the decoder's.
const captionerFile = "captioner.json"

var companions = []string{"memory.safetensors", "encoder.safetensors"}

// candidates are all names that a file can have which is read.
func candidates() []string {
	all := slices.Clone(descriptions)
	for _, name := range formats.WeightsNames() {
		all = append(all, name, name+formats.IndexSuffix)
	}
	return all
}

// weightsIn is the name of the weights that are taken of files, or of the index of their shards; "" where there are
// none. A single file of another name is taken where nothing describes it: a captioner's own model, a ClipCap.
func weightsIn(files []string) string {
	if name := formats.WeightsAmong(files); name != "" {
		return name
	}
	if slices.Contains(files, configFile) || slices.Contains(files, openCLIPFile) {
		return ""
	}
	var single []string
	for _, name := range files {
		switch strings.ToLower(path.Ext(name)) {
		case ".safetensors", ".pt", ".pth", ".ckpt", ".bin":
			single = append(single, name)
		}
	}
	if len(single) == 1 {
		return single[0]
	}
	return ""
}

func isIndex(name string) bool { return strings.HasSuffix(name, formats.IndexSuffix) }

// maxIndex bounds an index of shards: a tensor takes about a hundred bytes in it.
const maxIndex = 64 << 20

// shardsOf are the names of the shards that an index names, each once.
func shardsOf(index string) ([]string, error) {
	f, err := os.Open(index)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err != nil {
		return nil, err
	}
	var list struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, &weights.FileError{Doing: "read", File: index, Err: err}
	}
	var shards []string
	for _, shard := range list.Map {
		if shard != filepath.Base(shard) || shard == "." || shard == ".." {
			return nil, fmt.Errorf("read %q: found the shard %q, want the name of a file beside it", index, shard)
		}
		if !slices.Contains(shards, shard) {
			shards = append(shards, shard)
		}
	}
	slices.Sort(shards)
	return shards, nil
}
