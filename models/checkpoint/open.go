package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// The names of the weights in a folder of Hugging Face or OpenCLIP, best first; each also as an index of shards.
var folderWeights = []string{"model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"}

// inFolder says whether path is a folder of Hugging Face, or the weights in one, and which.
func inFolder(path string) (dir string, ok bool) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path, true
	}
	base := strings.TrimSuffix(filepath.Base(path), ".index.json")
	if !slices.Contains(folderWeights, base) {
		return "", false
	}
	_, err := os.Stat(filepath.Join(filepath.Dir(path), "config.json"))
	return filepath.Dir(path), err == nil
}

// openFolderWeights opens the weights of a folder: one file, or shards with an index.
func openFolderWeights(dir string) (weights.Source, error) {
	for _, name := range folderWeights {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return openFile(path)
		}
		if _, err := os.Stat(path + ".index.json"); err == nil {
			return openShards(dir, path+".index.json")
		}
	}
	return nil, fmt.Errorf("open %q: found none of %s, nor an index of their shards", dir, strings.Join(folderWeights, ", "))
}

// openShards opens the files that an index names and shows them as one. Names of files must be plain: an index reaches no other folder.
func openShards(dir, index string) (weights.Source, error) {
	var list struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := encoder.ReadJSON(encoder.Dir(dir), filepath.Base(index), &list); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, file := range list.Map {
		if file != filepath.Base(file) || file == "." || file == ".." {
			return nil, fmt.Errorf("read %q: found the shard %q, want the name of a file beside it", index, file)
		}
		names[file] = true
	}
	var shards []weights.Source
	closeAll := func() {
		for _, s := range shards {
			s.Close()
		}
	}
	for _, file := range slices.Sorted(maps.Keys(names)) {
		s, err := openFile(filepath.Join(dir, file))
		if err != nil {
			closeAll()
			return nil, err
		}
		shards = append(shards, s)
	}
	j, err := weights.Join(shards...)
	if err != nil {
		closeAll()
		return nil, fmt.Errorf("read %q: %w", index, err)
	}
	for tensor, file := range list.Map {
		if _, err := j.Tensor(tensor); errors.Is(err, weights.ErrNotFound) {
			j.Close()
			return nil, fmt.Errorf("read %q: tensor %q is not in %q, where the index has it", index, tensor, file)
		}
	}
	return j, nil
}

// beside is the folder of a checkpoint.
func beside(path string) encoder.Folder {
	if dir, ok := inFolder(path); ok {
		return encoder.Dir(dir)
	}
	return encoder.Dir(filepath.Dir(path))
}

// isPickle says whether tensors come from a file of PyTorch.
func isPickle(src weights.Source) bool {
	_, ok := src.(*pickle.File)
	return ok
}

// openPart opens a file of tensors with a prefix before their names; nil where there is no such file.
func openPart(path, prefix string) (weights.Source, error) {
	src, err := safetensors.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return weights.Rename(src, weights.Prefix("", prefix))
}

func closeAll(sources []weights.Source) error {
	var errs []error
	for _, s := range sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// checksum is the SHA-256 of a file, or of the weights of a folder one after the other.
func checksum(path string) (string, error) {
	h := sha256.New()
	files := []string{path}
	if dir, ok := inFolder(path); ok {
		files = nil
		for _, pattern := range []string{"*.safetensors", "*.bin"} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return "", err
			}
			files = append(files, found...)
		}
	}
	for _, file := range files {
		if err := hashFile(h, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashFile(h io.Writer, path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(h, r)
	return err
}

// openFile opens one file of tensors by its content.
func openFile(path string) (weights.Source, error) {
	s, err := safetensors.Open(path)
	if err == nil {
		return s, nil
	}
	p, perr := pickle.Open(path)
	if perr == nil {
		return p, nil
	}
	var refused *pickle.RefusedError
	if errors.As(perr, &refused) {
		return nil, perr
	}
	if system := syscall.Errno(0); errors.As(err, &system) {
		return nil, err
	}
	if isZip(path) {
		return nil, perr
	}
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return nil, fmt.Errorf("open %q: the file is empty, want weights", path)
	}
	if what := foreign(path); what != "" {
		return nil, fmt.Errorf("open %q: found %s, want a file of weights", path, what)
	}
	return nil, &UnknownFormError{path, err, perr}
}

// foreign names what downloads leave in the place of a file of weights; "" is anything else.
func foreign(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var begin [512]byte
	n, _ := io.ReadFull(f, begin[:])
	text := strings.ToLower(strings.TrimSpace(string(begin[:n])))
	switch {
	case strings.HasPrefix(text, "version https://git-lfs.github.com/spec/"):
		return "a pointer of Git LFS, which stands for a file that was not downloaded (git lfs pull does it)"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "a web page, as a refused download leaves one"
	case strings.HasPrefix(text, "<?xml"):
		return "an XML document, as a refused download leaves one"
	}
	return ""
}

// isZip says whether a file begins as those of PyTorch do, whatever is wrong with the rest.
func isZip(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "PK\x03\x04"
}

// An UnknownFormError says that a file is of no form that is known.
type UnknownFormError struct {
	Path                string
	SafeTensors, Pickle error // what is wrong with it as the one and as the other
}

func (e *UnknownFormError) Error() string {
	if strings.EqualFold(filepath.Ext(e.Path), ".safetensors") {
		return e.SafeTensors.Error()
	}
	return fmt.Sprintf("%q is neither: %v; %v", e.Path, e.SafeTensors, e.Pickle)
}

// Unwrap returns both reasons.
func (e *UnknownFormError) Unwrap() []error { return []error{e.SafeTensors, e.Pickle} }

// OpenWeights opens the tensors of a checkpoint of any form, by its content: a file of safetensors or PyTorch, or a folder of Hugging Face.
func OpenWeights(path string) (weights.Source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return openFolderWeights(path)
	}
	if strings.HasSuffix(path, ".index.json") {
		return openShards(filepath.Dir(path), path)
	}
	return openFile(path)
}
