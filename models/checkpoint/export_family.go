package checkpoint

import (
	"errors"
	"path/filepath"
	"slices"

	"captioner/models/encoder"
	"captioner/models/family"
)

// fillFamily writes a folder of a class of transformers that is the family's own.
func (e exporter) fillFamily(dir string, d family.Foldered) error {
	if !e.HasEncoder() {
		return e.MissingEncoder()
	}
	vision, err := take(e.encoderSource(), encoder.Prefix)
	if err != nil {
		return err
	}
	if vision, err = e.o.convert(vision); err != nil {
		return err
	}
	words, err := e.modelTensors()
	if err != nil {
		return err
	}
	tensors, names := slices.Concat(vision, words), e.src.Names()
	f, err := d.Folder(e.Config, e.Tokenizer, names)
	if err != nil {
		return err
	}
	kept := tensors[:0]
	for _, t := range tensors {
		if key, ok := f.Key(t.Name); ok {
			t.Name = key
			kept = append(kept, t)
		}
	}
	f.Settings["config.json"]["torch_dtype"] = torchDType(kept)
	errs := []error{e.writeModel(dir, kept)}
	for name, settings := range f.Settings {
		errs = append(errs, writeJSON(filepath.Join(dir, name), settings))
	}
	for name, text := range f.Texts {
		errs = append(errs, writeBytes(filepath.Join(dir, name), text))
	}
	return errors.Join(errs...)
}
