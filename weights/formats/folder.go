package formats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"captioner/weights"
)

// folderWeights are the names of the weights in a folder of Hugging Face or OpenCLIP, best first; each also as an index
// of shards.
var folderWeights = []string{
	"model.safetensors",
	"pytorch_model.bin",
	"open_clip_model.safetensors",
	"open_clip_pytorch_model.bin",
}

// IndexSuffix is what the name of weights in shards has behind it, where the index stands that names the shards.
const IndexSuffix = ".index.json"

// WeightsNames are the names that weights have in such a folder, in the order in which they are taken. Each may have an
// index of shards instead.
func WeightsNames() []string { return slices.Clone(folderWeights) }

// Folder says whether path is a folder of Hugging Face or OpenCLIP, or the weights (or their index) in one beside a
// config.json, and which folder it is.
func Folder(path string) (folder string, ok bool) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path, true
	}
	base := strings.TrimSuffix(filepath.Base(path), IndexSuffix)
	if !slices.Contains(folderWeights, base) {
		return "", false
	}
	_, err := os.Stat(filepath.Join(filepath.Dir(path), "config.json"))
	return filepath.Dir(path), err == nil
}

// OpenFolder opens the weights of a folder: one file, or shards with an index.
func OpenFolder(folder string) (weights.Source, error) {
	for _, name := range folderWeights {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return openFile(path)
		}
		if _, err := os.Stat(path + IndexSuffix); err == nil {
			return openShards(path + IndexSuffix)
		}
	}
	return nil, &weights.FileError{Doing: "open", File: folder,
		Err: fmt.Errorf("found none of %s, nor an index of their shards", strings.Join(folderWeights, ", "))}
}

// WeightsAmong is the name of the weights that are taken of a folder's files, or of the index of their shards; "" where
// there are none.
func WeightsAmong(files []string) string {
	for _, name := range folderWeights {
		for _, name := range []string{name, name + IndexSuffix} {
			if slices.Contains(files, name) {
				return name
			}
		}
	}
	return ""
}

// A MissingShardError says that a file is not there which an index of shards names.
type MissingShardError struct {
	Index  string // its path
	Shard  string
	Shards int // that the index names
}

func (e *MissingShardError) Error() string {
	return fmt.Sprintf("read %q: found %d shards named, without %s, want all of them beside it", e.Index, e.Shards,
		e.Shard)
}

// Unwrap makes the error one of fs.ErrNotExist.
func (e *MissingShardError) Unwrap() error { return fs.ErrNotExist }

// Hint says how to get it.
func (e *MissingShardError) Hint() string {
	return fmt.Sprintf("copy or fetch %s again from where the others came from", e.Shard)
}

// maxIndex bounds an index of shards: a tensor takes about a hundred bytes in it.
const maxIndex = 64 << 20

// openShards opens the files that an index names and shows them as one. Names must be plain: an index reaches no other
// folder.
func openShards(index string) (_ weights.Source, err error) {
	list, err := readIndex(index)
	if err != nil {
		return nil, &weights.FileError{Doing: "read", File: index, Err: weights.Reason(err)}
	}
	var shards []weights.Source
	defer func() {
		if err != nil {
			for _, s := range shards {
				s.Close()
			}
		}
	}()
	files := map[string]bool{}
	for _, file := range list {
		files[file] = true
	}
	folder := filepath.Dir(index)
	for file := range files {
		if _, err := os.Stat(filepath.Join(folder, file)); errors.Is(err, fs.ErrNotExist) {
			return nil, &MissingShardError{Index: index, Shard: file, Shards: len(files)}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		s, err := openFile(filepath.Join(folder, file))
		if err != nil {
			return nil, err
		}
		shards = append(shards, s)
	}
	joined, err := weights.Join(shards...)
	if err != nil {
		return nil, &weights.FileError{Doing: "read", File: index, Err: err}
	}
	for tensor, file := range list {
		if _, err := joined.Tensor(tensor); errors.Is(err, weights.ErrNotFound) {
			return nil, fmt.Errorf("read %q: tensor %q is not in %q, where the index has it", index, tensor, file)
		}
	}
	return joined, nil
}

// readIndex returns the file of each tensor.
func readIndex(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxIndex {
		return nil, fmt.Errorf("found more than %d MB, want an index of shards", maxIndex>>20)
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	var mistyped *json.UnmarshalTypeError
	switch err := json.Unmarshal(b, &index); {
	case errors.As(err, &mistyped):
		return nil, fmt.Errorf("found a %s as %s, want %v", mistyped.Value, mistyped.Field, mistyped.Type)
	case err != nil:
		return nil, err
	}
	for _, file := range index.Map {
		if file != filepath.Base(file) || file == "." || file == ".." {
			return nil, fmt.Errorf("found the shard %q, want the name of a file beside it", file)
		}
	}
	return index.Map, nil
}
