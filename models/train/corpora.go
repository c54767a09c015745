package train

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"captioner/data"
	"captioner/data/tokenizer"
	"captioner/models/train/features"
	"captioner/models/train/spelling"
	"captioner/weights"
	"captioner/weights/plural"
)

// corpora are the captions and texts of a run.
type corpora struct {
	journal
	train, val corpus
	text       [][]int32 // lines to learn the language from
	bad        []string  // lines of badFile
}

// readData reads the splits and checks what can be checked before any work: that every image is there and captioned,
// that ids are not used twice, and that no image is in both splits.
func (c *corpora) readData() error {
	trainSet, err := c.open("data", c.Data, c.Images)
	if err != nil {
		return err
	}
	var valSet data.Dataset
	train, val := trainSet.Source, data.Source(nil)
	if c.Val != "" {
		if valSet, err = c.open("val", c.Val, c.ValImages); err != nil {
			return err
		}
		val = valSet.Source
	} else {
		train, val = c.split(train)
	}
	report := data.Check(train, val)
	for _, note := range slices.Concat(trainSet.Notes.Lines(), valSet.Notes.Lines()) {
		c.tell(Event{Note: note})
	}
	if err := c.check(report); err != nil {
		return err
	}
	var bare, bareVal []string
	if c.train, bare, err = readCorpus(train, c.SkipBad); err != nil {
		return fmt.Errorf("data %q: %w", c.Data, err)
	}
	if c.val, bareVal, err = readCorpus(val, c.SkipBad); err != nil {
		return fmt.Errorf("val: %w", err)
	}
	if err := c.leaveOutBare(append(bare, bareVal...)); err != nil {
		return err
	}
	c.doubtMeasure()
	if !c.Learns() {
		c.tell(Event{Note: fmt.Sprintf("measuring on %s with %s", plural.Count(len(c.val), "image"),
			plural.Count(c.val.captions(), "caption"))})
		return nil
	}
	c.tell(Event{Note: fmt.Sprintf("training on %s with %s, measuring on %d with %d",
		plural.Count(len(c.train), "image"), plural.Count(c.train.captions(), "caption"), len(c.val), c.val.captions())})
	return nil
}

// split keeps a part of the data to measure on. The ids of images decide by lot which are in it, so that of few images
// the part grows until there are as many as Fit asks for.
func (c *corpora) split(all data.Source) (train, val data.Source) {
	n := count(all)
	fraction := c.FitValFraction(n)
	train, val = data.Split(all, fraction, uint64(c.Seed))
	for want := min(c.Fit.MinVal, n/5); want > 0 && fraction < .5 && count(val) < want; {
		fraction += .02
		train, val = data.Split(all, fraction, uint64(c.Seed))
	}
	return train, val
}

// CheckData reads the data of a run and reports what would refuse it before its first step, and writes nothing.
func CheckData(o Options) error {
	c := new(corpora)
	c.Options, c.tell = o, func(Event) {}
	c.DryRun = true
	return c.readData()
}

// count is the number of examples. What cannot be read is reported where the examples are checked.
func count(s data.Source) (n int) {
	for _, err := range s {
		if err == nil {
			n++
		}
	}
	return n
}

func (c *corpora) open(name, path, images string) (data.Dataset, error) {
	d, err := data.Open(path, images)
	if err != nil {
		return d, err
	}
	c.tell(Event{Note: fmt.Sprintf("%s: %q: %s", name, path, d.Kind)})
	return d, nil
}

// check refuses what would spoil the run; what SkipBad allows is told. Images that are missing or have no captions
// are listed in the run folder.
func (c *corpora) check(r *data.Report) error {
	if len(r.EmptyCaptions) > 0 {
		c.tell(Event{Note: fmt.Sprintf("leaving out the empty captions of %s, the first: %s",
			plural.Count(len(r.EmptyCaptions), "image"), r.EmptyCaptions[0])})
		r.EmptyCaptions = nil
	}
	for _, m := range r.MissingImages {
		c.bad = append(c.bad, m+"\tmissing or empty")
	}
	for _, m := range r.NoCaptions {
		c.bad = append(c.bad, m+"\tno captions")
	}
	missing, bare := len(r.MissingImages), len(r.NoCaptions)
	if r.Train.Examples+missing+bare+len(r.Unread) == 0 {
		why := errors.New("found no images with captions")
		if n := r.Val.Examples; n > 0 && c.Val == "" {
			why = fmt.Errorf("found %s, which is to measure on, and none to learn from, want more, or others in --val",
				plural.Count(n, "image"))
		}
		return &weights.FileError{Doing: "read", File: c.Data, Err: why}
	}
	r.MissingImages, r.NoCaptions = nil, nil
	if err := r.Err(); err != nil { // nothing that leaving out images would mend
		return err
	}
	if r.Val.Examples == 0 {
		return fmt.Errorf("check data: found %s to learn from and none to measure on, want some in --val, "+
			"or a larger --val-fraction than %g", plural.Count(r.Train.Examples, "image"), c.ValFraction)
	}
	return c.report(counted(missing, "missing image"), counted(bare, "image without captions"))
}

// tryImages decodes all images once, for a run that caches no features.
func (c *corpora) tryImages(ctx context.Context) error {
	train, err := c.tryPart(ctx, c.train)
	if err != nil {
		return err
	}
	val, err := c.tryPart(ctx, c.val)
	if err != nil {
		return err
	}
	return c.leaveOut(train, val)
}

// tryChunk is how many images are tried before it is told how far that is.
const tryChunk = 250

// tryPart decodes this rank's part of a split, and gives what any of them could not decode.
func (c *corpora) tryPart(ctx context.Context, split corpus) ([]features.Bad, error) {
	views := whole(split)
	from, to := c.Group.Share(len(views))
	var own []features.Bad
	for begin := from; begin < to; begin += tryChunk {
		chunk := views[begin:min(begin+tryChunk, to)]
		slots, wait := features.PrepareAll(ctx, c.config.Encoder.Preprocess, chunk)
		for i := range chunk {
			select {
			case p := <-slots[i]:
				if p.Err != nil {
					own = append(own, features.Bad{Index: begin + i, Path: chunk[i].Name(), Err: p.Err})
				}
			case <-ctx.Done():
				wait()
				return nil, ctx.Err()
			}
		}
		wait()
		c.tell(Event{Phase: "check", Step: begin - from + len(chunk), Steps: to - from})
	}
	return c.gatherBad(own)
}

// whole shows the images of a split as they are.
func whole(c corpus) []features.View {
	out := make([]features.View, len(c))
	for i, e := range c {
		out[i] = features.View{Example: e.Example}
	}
	return out
}

// newVocabulary makes the tokenizer of the captions; where base is not nil, that of the captions and of the lines to
// pretrain on, with the tokens of base.
func (c *corpora) newVocabulary(base *tokenizer.Tokenizer) (*tokenizer.Tokenizer, error) {
	var failed error
	lines := func(yield func(string) bool) {
		for _, e := range c.train {
			for _, s := range e.Captions {
				if !yield(spelling.Normalize(s)) {
					return
				}
			}
		}
		if base == nil {
			return
		}
		for line, err := range c.textLines() {
			if failed = err; err != nil || !yield(spelling.Normalize(line)) {
				return
			}
		}
	}
	tok, err := spelling.Vocabulary(lines, c.FitVocabMinCount(c.train.captions()), base)
	if err = errors.Join(failed, err); err != nil {
		return nil, err
	}
	c.tok = tok
	return tok, nil
}

// textLines are the lines to pretrain on, if there is a phase that does.
func (c *corpora) textLines() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if c.TextEpochs == 0 {
			return
		}
		for _, path := range c.Text {
			for line, err := range data.Lines(path) {
				if !yield(line, err) {
					return
				}
			}
		}
	}
}

// readText reads the lines to pretrain on, and adds the captions.
func (c *corpora) readText(by spelling.Rows) error {
	for line, err := range c.textLines() {
		if err != nil {
			return err
		}
		if row, _ := by.Row(spelling.Normalize(line)); len(row) >= 6 {
			c.text = append(c.text, row)
		}
	}
	if len(c.Text) == 0 {
		return nil
	}
	for _, e := range c.train {
		c.text = append(c.text, e.text...)
	}
	c.tell(Event{Note: fmt.Sprintf("learning the language from %s first", plural.Count(len(c.text), "line"))})
	return nil
}

// sizes writes into the card how much there is to learn from and to measure on.
func (c *corpora) sizes() {
	c.card.Data = fmt.Sprintf("%s with %s", plural.Count(len(c.train), "image"), plural.Count(c.train.captions(),
		"caption"))
	c.card.Split = fmt.Sprintf("%s apart from training", plural.Count(len(c.val), "image"))
}

// checkRanks refuses batches that are too small to part.
func (c *corpora) checkRanks() error {
	check := func(what string, n int) error {
		if n >= c.Group.Size() {
			return nil
		}
		return fmt.Errorf("train in %s: %s: found %d, want one or more for each", plural.Count(c.Group.Size(), "process"),
			what, n)
	}
	err := errors.Join(
		check("batch-size", c.BatchSize),
		check("images to learn from", len(c.train)),
		check("images to measure on", len(c.val)),
	)
	if c.SCSTSteps > 0 {
		err = errors.Join(err, check("scst-batch-size", c.SCSTBatch))
	}
	return err
}
