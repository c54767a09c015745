package pickle

import (
	"archive/zip"
	"errors"
	"fmt"
	"slices"
)

// What clip-text-decoder 1.0.0 saves is a zip archive of two files, stored as they are: a TorchScript archive and a
// pickled tokenizer.
const pairModel, pairWords = "model.pt", "tokenizer.pkl"

func isPair(files []*zip.File) bool {
	has := func(name string) bool {
		return slices.ContainsFunc(files, func(f *zip.File) bool { return f.Name == name })
	}
	return has(pairModel) && has(pairWords)
}

// loadPair reads both, as a dict of "model" and "tokenizer". It also returns the archive inside, and the size of its
// pickle.
func loadPair(a *archive) (root *Dict, inner *archive, size int, err error) {
	model, err := a.entry(pairModel)
	if err != nil {
		return nil, nil, 0, err
	}
	words, err := a.entry(pairWords)
	if err != nil {
		return nil, nil, 0, err
	}
	if inner, err = openArchive(model); err != nil {
		return nil, nil, 0, fmt.Errorf("%s: %w", pairModel, err)
	}
	if inner.pair {
		return nil, nil, 0, errors.New("zip archive of model.pt and tokenizer.pkl inside another, want TorchScript")
	}
	module, size, err := loadArchive(inner)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%s: %w", pairModel, err)
	}
	tokenizer, err := newMachine(words, nil).run()
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%s: %w", pairWords, err)
	}
	root = &Dict{}
	root.Set("model", module)
	root.Set("tokenizer", tokenizer)
	return root, inner, size, nil
}
