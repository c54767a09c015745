package checkpoint

import (
	"errors"
	"os"
	"path/filepath"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights"
	"captioner/weights/formats"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// beside is the folder of a checkpoint.
func beside(path string) encoder.Folder {
	if dir, ok := formats.Folder(path); ok {
		return encoder.Dir(dir)
	}
	return encoder.Dir(filepath.Dir(path))
}

// filesOf is a checkpoint and what stands beside it.
func filesOf(path string, src weights.Source) family.Files {
	f := family.Files{Path: path, Source: src, Beside: beside(path)}
	if dir, ok := formats.Folder(path); ok {
		f.Path, f.Folder = dir, true
	}
	return f
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
