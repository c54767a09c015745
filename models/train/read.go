package train

import (
	"fmt"
	"hash/fnv"
	"slices"

	"captioner/data"
)

// readData reads the splits and checks what can be checked before any work: that the pictures are there, and that none is in both splits.
func (t *trainer) readData() error {
	read := func(name, path, images string) (corpus, error) {
		src, err := data.COCO(path, images)
		if err != nil {
			return nil, err
		}
		c, err := readCorpus(src)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", name, path, err)
		}
		t.tell(Event{Note: fmt.Sprintf("%s: %s, %d pictures, %d captions", name, path, len(c), c.captions())})
		return c, nil
	}
	var err error
	if t.train, err = read("data", t.Data, t.Images); err != nil {
		return err
	}
	if t.Val != "" {
		if t.val, err = read("val", t.Val, t.ValImages); err != nil {
			return err
		}
	} else {
		t.train, t.val = split(t.train, t.ValShare)
		if len(t.train) == 0 || len(t.val) == 0 {
			return fmt.Errorf("data %q: found too few pictures to take the share %g of them for val", t.Data, t.ValShare)
		}
	}
	both := overlap(t.train, t.val)
	if len(both) > 0 {
		return fmt.Errorf("data and val share %d pictures, the first %q: scores would mean nothing", len(both), both[0])
	}
	for _, c := range []*corpus{&t.train, &t.val} {
		missing := c.checkFiles()
		if len(missing) == 0 {
			continue
		}
		if !t.SkipBad {
			return fmt.Errorf("data: %d of %d pictures are not there, the first %q; want all (or --skip-bad)", len(missing), len(*c), missing[0])
		}
		t.tell(Event{Note: fmt.Sprintf("going on without %d pictures that are not there, the first %q", len(missing), missing[0])})
		gone := map[string]bool{}
		for _, m := range missing {
			gone[m] = true
		}
		*c = slices.DeleteFunc(*c, func(e example) bool { return gone[e.Path] })
		if len(*c) == 0 {
			return fmt.Errorf("data: none of the %d pictures is there", len(missing))
		}
	}
	return nil
}

// split puts a share of the pictures aside, always the same ones: it goes by a hash of their ids.
func split(c corpus, share float64) (train, val corpus) {
	for _, e := range c {
		h := fnv.New32a()
		h.Write([]byte(e.ID))
		if float64(h.Sum32())/(1<<32) < share {
			val = append(val, e)
		} else {
			train = append(train, e)
		}
	}
	return train, val
}

// overlap lists the pictures that are in both.
func overlap(a, b corpus) (both []string) {
	in := map[string]bool{}
	for _, e := range a {
		in[e.Name()] = true
	}
	for _, e := range b {
		if in[e.Name()] {
			both = append(both, e.Name())
		}
	}
	return both
}

// readText reads the lines to pretrain on, and adds the captions.
func (t *trainer) readText(positions int) error {
	keep := func(row []int32) bool { return len(row) >= 6 && len(row) <= positions }
	for _, path := range t.Text {
		for line, err := range data.Lines(path) {
			if err != nil {
				return err
			}
			if row := encode(t.tok, line, positions); keep(row) {
				t.text = append(t.text, row)
			}
		}
	}
	if len(t.Text) == 0 {
		t.text = nil
		return nil
	}
	for _, e := range t.train {
		t.text = append(t.text, e.text...)
	}
	t.tell(Event{Note: fmt.Sprintf("text: %d lines", len(t.text))})
	return nil
}
