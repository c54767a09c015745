package encoder

import (
	"errors"
	"io/fs"
	"strings"
)

// NoTokenizer says that a captioner has none of the files that hold a tokenizer, as where a model was uploaded without
// its processor.
func NoTokenizer(files ...string) error {
	return &ForeignError{
		Found: "neither " + strings.Join(files, " nor ") + " beside the weights", Want: "one of them",
		Remedy: "the model was saved without its processor: put the tokenizer and preprocessor_config.json of the model " +
			"that it was trained from beside it, in a folder of its own",
	}
}

// VetTokenizer is the error of a folder that has none of the files that hold a tokenizer.
func VetTokenizer(beside Folder, files ...string) error {
	for _, name := range files {
		if _, err := beside.Read(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return NoTokenizer(files...)
}
