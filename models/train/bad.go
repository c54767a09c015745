package train

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"captioner/models/train/features"
	"captioner/models/train/ranks"
	"captioner/weights/atomicfile"
	"captioner/weights/plural"
)

// badFile lists the images of a run that are missing, have no captions or cannot be decoded, a line each with the
// reason.
const badFile = "bad-pictures.txt"

// BadImagesError says that a run was not begun because of its images.
type BadImagesError struct {
	List   string // the file that names them all; "" in a dry run, which writes none
	Counts string // "3 missing images, 1 image that cannot be decoded"
	First  string
}

func (e *BadImagesError) Error() string {
	if e.List == "" {
		return fmt.Sprintf("check data: %s; the first: %s", e.Counts, e.First)
	}
	return fmt.Sprintf("check data: %s, all listed in %q; the first: %s", e.Counts, e.List, e.First)
}

// Hint says how to go on.
func (e *BadImagesError) Hint() string { return "--skip-bad goes on without them" }

// report lists bad images in the run folder and refuses the run, unless it may go on without them. Counts say how
// many there are of what, "" of none.
func (c *corpora) report(counts ...string) error {
	said := strings.Join(slices.DeleteFunc(counts, func(s string) bool { return s == "" }), ", ")
	if said == "" {
		return nil
	}
	if c.DryRun {
		if !c.SkipBad {
			return &BadImagesError{Counts: said, First: strings.ReplaceAll(c.bad[0], "\t", ": ")}
		}
		c.tell(Event{Note: "going on without " + said})
		return nil
	}
	list := filepath.Join(c.dir, badFile)
	if c.Group.IsLead() {
		if err := atomicfile.WriteFile(list, writer([]byte(strings.Join(c.bad, "\n")+"\n"))); err != nil {
			return err
		}
	}
	if !c.SkipBad {
		return &BadImagesError{list, said, strings.ReplaceAll(c.bad[0], "\t", ": ")}
	}
	c.tell(Event{Note: fmt.Sprintf("going on without %s (listed in %s)", said, badFile)})
	return nil
}

// counted is "1 missing image" or "2 missing images"; "" for none.
func counted(n int, what string) string {
	if n == 0 {
		return ""
	}
	before, after, _ := strings.Cut(what, "image")
	return plural.Count(n, before+"image") + after
}

// leaveOutBare lists images of which every caption is empty; readCorpus has left them out.
func (c *corpora) leaveOutBare(names []string) error {
	for _, n := range names {
		c.bad = append(c.bad, n+"\tall captions are empty")
	}
	return c.report(counted(len(names), "image whose captions are all empty"))
}

// leaveOut drops the images that cannot be decoded.
func (c *corpora) leaveOut(train, val []features.Bad) error {
	for _, b := range slices.Concat(train, val) {
		c.bad = append(c.bad, fmt.Sprintf("%s\t%v", b.Path, b.Err))
	}
	if err := c.report(counted(len(train)+len(val), "image that cannot be decoded")); err != nil {
		return err
	}
	c.train, c.val = c.train.without(train), c.val.without(val)
	if len(c.train) == 0 || len(c.val) == 0 {
		return errors.New("check data: found no image that can be decoded")
	}
	c.sizes()
	return nil
}

// gatherBad puts together which images the ranks could not decode.
func (c *corpora) gatherBad(own []features.Bad) ([]features.Bad, error) {
	if c.Group.Size() == 1 {
		return own, nil
	}
	type line struct {
		Index      int
		Path, Text string
	}
	var lines []line
	for _, b := range own {
		lines = append(lines, line{b.Index, b.Path, b.Err.Error()})
	}
	parts, err := ranks.GatherJSON(c.Group, lines)
	var all []features.Bad
	for _, x := range parts {
		all = append(all, features.Bad{Index: x.Index, Path: x.Path, Err: errors.New(x.Text)})
	}
	return all, err
}
