package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"captioner/data"
	"captioner/weights/atomicfile"
)

// badFile lists the pictures of a run that are missing, have no captions or cannot be decoded, a line each with the reason.
const badFile = "bad-pictures.txt"

// BadPicturesError says that a run was not begun because of its pictures.
type BadPicturesError struct {
	List   string // the file that names them all
	Counts string // "3 missing images, 1 image that cannot be decoded"
	First  string
}

func (e *BadPicturesError) Error() string {
	return fmt.Sprintf("check data: %s, all listed in %q; the first: %s", e.Counts, e.List, e.First)
}

// Hint says how to go on.
func (e *BadPicturesError) Hint() string { return "--skip-bad goes on without them" }

// readData reads the splits and checks what can be checked before any work: that every picture is there and captioned, that ids are not used
// twice, and that no picture is in both splits.
func (t *trainer) readData() error {
	trainSet, err := t.open("data", t.Data, t.Images)
	if err != nil {
		return err
	}
	var valSet data.Dataset
	train, val := trainSet.Source, data.Source(nil)
	if t.Val != "" {
		if valSet, err = t.open("val", t.Val, t.ValImages); err != nil {
			return err
		}
		val = valSet.Source
	} else {
		train, val = data.Split(train, t.ValShare, uint64(t.Seed))
	}
	report := data.Check(train, val)
	for _, note := range slices.Concat(trainSet.Notes.Lines(), valSet.Notes.Lines()) {
		t.tell(Event{Note: note})
	}
	if err := t.check(report); err != nil {
		return err
	}
	if t.train, err = readCorpus(train, t.SkipBad); err != nil {
		return fmt.Errorf("data %q: %w", t.Data, err)
	}
	if t.val, err = readCorpus(val, t.SkipBad); err != nil {
		return fmt.Errorf("val: %w", err)
	}
	if !t.learns() {
		t.tell(Event{Note: fmt.Sprintf("measuring on %d pictures with %d captions", len(t.val), t.val.captions())})
		return nil
	}
	t.tell(Event{Note: fmt.Sprintf("training on %d pictures with %d captions, measuring on %d with %d", len(t.train), t.train.captions(),
		len(t.val), t.val.captions())})
	return nil
}

func (t *trainer) open(name, path, images string) (data.Dataset, error) {
	d, err := data.Open(path, images)
	if err != nil {
		return d, err
	}
	t.tell(Event{Note: fmt.Sprintf("%s: %q is %s", name, path, d.Kind)})
	return d, nil
}

// check refuses what would spoil the run; what SkipBad allows is told. Pictures that are missing or have no captions are listed in the run folder.
func (t *trainer) check(r *data.Report) error {
	if len(r.EmptyCaptions) > 0 {
		t.tell(Event{Note: fmt.Sprintf("leaving out the empty captions of %d pictures, the first: %s", len(r.EmptyCaptions), r.EmptyCaptions[0])})
		r.EmptyCaptions = nil
	}
	for _, m := range r.MissingImages {
		t.bad = append(t.bad, m+"\tmissing or empty")
	}
	for _, m := range r.NoCaptions {
		t.bad = append(t.bad, m+"\tno captions")
	}
	missing, bare := len(r.MissingImages), len(r.NoCaptions)
	r.MissingImages, r.NoCaptions = nil, nil
	if err := r.Err(); err != nil { // nothing that leaving out pictures would mend
		return err
	}
	if r.Val.Examples == 0 {
		return fmt.Errorf("check data: found no pictures to measure on, want some in a val set, or a larger val-fraction than %g", t.ValShare)
	}
	return t.report(counted(missing, "missing image"), counted(bare, "image without captions"))
}

// report lists bad pictures in the run folder and refuses the run, unless it may go on without them. Counts say how many there are of what,
// "" of none.
func (t *trainer) report(counts ...string) error {
	said := strings.Join(slices.DeleteFunc(counts, func(s string) bool { return s == "" }), ", ")
	if said == "" {
		return nil
	}
	list := filepath.Join(t.dir, badFile)
	if t.Group.IsLead() {
		if err := atomicfile.WriteFile(list, writer([]byte(strings.Join(t.bad, "\n")+"\n"))); err != nil {
			return err
		}
	}
	if !t.SkipBad {
		return &BadPicturesError{list, said, strings.ReplaceAll(t.bad[0], "\t", ": ")}
	}
	t.tell(Event{Note: fmt.Sprintf("going on without %s (listed in %s)", said, badFile)})
	return nil
}

// counted is "1 missing image" or "2 missing images"; "" for none.
func counted(n int, what string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 " + what
	}
	noun, rest, _ := strings.Cut(what, "image")
	return fmt.Sprintf("%d %simages%s", n, noun, rest)
}

// whole shows the pictures of a split as they are.
func (t *trainer) whole(c corpus) []shown {
	out := make([]shown, len(c))
	for i, e := range c {
		out[i] = shown{Example: e.Example}
	}
	return out
}

// leaveOut drops the pictures that cannot be decoded.
func (t *trainer) leaveOut(train, val []Bad) error {
	for _, b := range slices.Concat(train, val) {
		t.bad = append(t.bad, fmt.Sprintf("%s\t%v", b.Path, b.Err))
	}
	if err := t.report(counted(len(train)+len(val), "image that cannot be decoded")); err != nil {
		return err
	}
	t.train, t.val = t.train.without(train), t.val.without(val)
	if len(t.train) == 0 || len(t.val) == 0 {
		return errors.New("check data: found no picture that can be decoded")
	}
	t.sizes()
	return nil
}

func (c corpus) without(bad []Bad) corpus {
	drop := map[int]bool{}
	for _, b := range bad {
		drop[b.Index] = true
	}
	var out corpus
	for i, e := range c {
		if !drop[i] {
			out = append(out, e)
		}
	}
	return out
}

// tryPictures decodes all pictures once, for a run that caches no features. Each rank tries its part.
func (t *trainer) tryPictures(ctx context.Context) error {
	try := func(c corpus) ([]Bad, error) {
		pictures := t.whole(c)
		from, to := t.Group.Share(len(c))
		var own []Bad
		for begin := from; begin < to; begin += shardSize {
			some := pictures[begin:min(begin+shardSize, to)]
			slots, wait := prepareAll(ctx, t.config.Encoder.Preprocess, some)
			for i := range some {
				select {
				case p := <-slots[i]:
					if p.err != nil {
						own = append(own, Bad{begin + i, some[i].Name(), p.err})
					}
				case <-ctx.Done():
					wait()
					return nil, ctx.Err()
				}
			}
			wait()
			t.tell(Event{Phase: "check", Step: begin - from + len(some), Steps: to - from})
		}
		return t.gatherBad(own)
	}
	train, err := try(t.train)
	if err != nil {
		return err
	}
	val, err := try(t.val)
	if err != nil {
		return err
	}
	return t.leaveOut(train, val)
}

// readText reads the lines to pretrain on, and adds the captions.
func (t *trainer) readText(positions int) error {
	for _, path := range t.Text {
		for line, err := range data.Lines(path) {
			if err != nil {
				return err
			}
			if row := encode(t.tok, normalise(line), positions); len(row) >= 6 {
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
