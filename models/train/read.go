package train

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"captioner/data"
	"captioner/weights"
)

// badFile lists the pictures of a run that are missing or cannot be read.
const badFile = "bad-pictures.txt"

// readData reads the splits and checks what can be checked before any work: that every picture is there and captioned, that ids are not used
// twice, and that no picture is in both splits.
func (t *trainer) readData() error {
	train, err := t.open("data", t.Data, t.Images)
	if err != nil {
		return err
	}
	var val data.Source
	if t.Val != "" {
		if val, err = t.open("val", t.Val, t.ValImages); err != nil {
			return err
		}
	} else {
		train, val = data.Split(train, t.ValShare, uint64(t.Seed))
	}
	if err := t.check(data.Check(train, val)); err != nil {
		return err
	}
	if t.train, err = readCorpus(train, t.SkipBad); err != nil {
		return fmt.Errorf("data %q: %w", t.Data, err)
	}
	if t.val, err = readCorpus(val, t.SkipBad); err != nil {
		return fmt.Errorf("val: %w", err)
	}
	t.tell(Event{Note: fmt.Sprintf("training on %d pictures with %d captions, measuring on %d with %d", len(t.train), t.train.captions(),
		len(t.val), t.val.captions())})
	return nil
}

func (t *trainer) open(name, path, images string) (data.Source, error) {
	d, err := data.Open(path, images)
	if err != nil {
		return nil, err
	}
	t.tell(Event{Note: fmt.Sprintf("%s: %q is %s", name, path, d.Kind)})
	return d.Source, nil
}

// check refuses what would spoil the run; what SkipBad allows is told, and the pictures are listed in the run folder.
func (t *trainer) check(r *data.Report) error {
	if t.SkipBad {
		if n := len(r.MissingImages) + len(r.NoCaptions); n > 0 {
			list := strings.Join(append(slices.Clone(r.MissingImages), r.NoCaptions...), "\n") + "\n"
			if err := weights.WriteFile(filepath.Join(t.dir, badFile), writer([]byte(list))); err != nil {
				return err
			}
			t.tell(Event{Note: fmt.Sprintf("going on without %d pictures that are missing or have no captions (listed in %s)", n, badFile)})
		}
		r.MissingImages, r.NoCaptions = nil, nil
	}
	if len(r.EmptyCaptions) > 0 {
		t.tell(Event{Note: fmt.Sprintf("leaving out the empty captions of %d pictures, the first: %s", len(r.EmptyCaptions), r.EmptyCaptions[0])})
		r.EmptyCaptions = nil
	}
	if r.Val.Examples == 0 {
		return errors.New("check data: found no pictures to measure on")
	}
	return r.Err()
}

// readText reads the lines to pretrain on, and adds the captions.
func (t *trainer) readText(positions int) error {
	for _, path := range t.Text {
		for line, err := range data.Lines(path) {
			if err != nil {
				return err
			}
			if row := encode(t.tok, line, positions); len(row) >= 6 {
				t.text = append(t.text, row)
			}
		}
	}
	if len(t.Text) == 0 {
		return nil
	}
	for _, e := range t.train {
		t.text = append(t.text, e.text...)
	}
	t.tell(Event{Note: fmt.Sprintf("learning the language from %d lines first", len(t.text))})
	return nil
}
