package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"captioner/cli/captioning"
	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/fleet"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/output/remote"
	"captioner/cli/tagging"
	"captioner/models/captioner"
	"captioner/models/tags"
	"captioner/weights"
)

func runPredict(ctx context.Context, con *console.Console, o PredictOptions) (err error) {
	start := time.Now()
	noteShard(con, &o)
	store := &cloud.Store{Stall: o.URLTimeout}
	defer store.Close()
	o.shown = o.Out
	r := &predictRun{con: con, o: &o, in: o.listed(ctx, con, store)}
	defer func() { r.remote.Close() }() // which check opens
	if err := r.check(ctx); err != nil {
		return err
	}
	if r.model, err = o.open(ctx, con); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer r.model.Close()
	if o.Tags.File != "" {
		if r.tags, r.tagged, err = tagging.Open(ctx, con, o.Tags, o.Model); err != nil {
			return fmt.Errorf("predict: %w", err)
		}
		defer r.tags.Close()
	}
	con.Term.Log.Debug("model loaded", "model", r.model.Name(), "seconds", time.Since(start).Seconds())
	if err := r.begin(); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	return r.end(start, captionAll(ctx, r))
}

// captionAll takes all images of a run through its pipeline.
func captionAll(ctx context.Context, r *predictRun) error {
	sink := func(results []*output.Result) error {
		if err := tagging.Tag(ctx, r.tags, results); err != nil {
			return err
		}
		return r.sink(results)
	}
	err := r.pipe.Run(ctx, func(yield func(input.Input) bool) { r.source(ctx, yield) }, nil, sink)
	if err == nil && r.fatal != nil { // without an error the source has come to its end
		err = r.fatal
	}
	if r.o.Watch && errors.Is(err, console.ErrInterrupted) {
		err = nil // that is how it ends
	}
	return err
}

// open opens the model, on one device or on all GPUs.
func (o *PredictOptions) open(ctx context.Context, con *console.Console) (model.Model, error) {
	if o.Model.Device == fleet.All {
		return fleet.Open(ctx, con, o.Model)
	}
	return model.Open(ctx, con, o.load, o.Model)
}

// predictRun is one run of predict.
type predictRun struct {
	con    *console.Console
	o      *PredictOptions
	in     input.Inputs
	bad    []input.Input // arguments that yield nothing
	model  model.Model
	pipe   captioning.Pipeline
	tags   *tags.Ranker // of --tags
	tagged string       // everything that decides tags

	out      io.Writer // standard output, buffered, or file
	buffer   *bufio.Writer
	file     *output.Journal
	remote   *remote.Out // of an --out in a cloud
	format   output.Format
	beside   *output.Sidecars
	inside   *output.Embed // of --write-metadata
	progress *console.Progress
	list     *output.Failures
	sheet    *output.Gallery // of --html
	watch    *input.Watcher  // of --watch
	before   captioner.Times // the model's, when the run began
	least    float64         // confidence below which a caption is marked

	tally   tally
	counted chan struct{} // closed at the end, which ends counting; nil where nobody counts
	fatal   error         // what the source found that ends the run
}

// refuse ends a run of which no argument yields anything.
func (r *predictRun) refuse() error {
	if len(r.bad) == 0 || len(r.bad) < len(r.o.inputs) {
		return nil
	}
	for _, in := range r.bad {
		if err := r.fail(in); err != nil {
			return err
		}
	}
	return console.ErrReported
}

func (r *predictRun) sidecarText(res *output.Result) string {
	switch {
	case r.o.Template == "" && r.o.MinConfidence > 0:
		return res.Marked(res.Caption, res.Caption.Text)
	case r.o.Template == "": // what the model's card calls uncertain is marked in JSON alone
		return res.Caption.Text
	}
	return r.o.template.Render(res, r.model.Name(), res.Caption)
}

// countAfter is how long a run without a bar lasts before its images are counted: a short one says no lines.
const countAfter = 5 * time.Second

// count finds out how many images there are, for the bar or the lines in its place.
func (r *predictRun) count(end <-chan struct{}) {
	if !r.con.Term.Live {
		select {
		case <-time.After(countAfter):
		case <-end:
			return
		}
	}
	n := int64(0)
	all := r.in
	all.Counting = true
	for in := range all.All() {
		select {
		case <-end:
			return
		default:
		}
		if in.Err == nil && r.o.shard.Holds(in.Key) {
			n++
		}
	}
	r.progress.Expect(n)
}

// source lists what is to be captioned: the arguments that are in order, without what is done already.
func (r *predictRun) source(ctx context.Context, yield func(input.Input) bool) {
	good := r.in
	good.Args = slices.DeleteFunc(slices.Clone(r.in.Args), func(a string) bool {
		return slices.ContainsFunc(r.bad, func(b input.Input) bool { return b.Path == a })
	})
	for _, in := range r.bad {
		if !yield(in) {
			return
		}
	}
	each := func(in input.Input) bool {
		if in.Err == nil {
			if r.fatal = r.o.guard.Check(in.Path); r.fatal != nil {
				return false
			}
			if !r.o.shard.Holds(in.Key) {
				return true
			}
			if r.beside != nil && in.Open != nil {
				in.Err = &input.Failure{Doing: "input", Path: in.Path, Err: errors.New("a sidecar needs an image that is a file")}
				in.Open = nil
			}
			if r.inside != nil && in.Open != nil && in.Err == nil {
				in.Err = &input.Failure{Doing: "input", Path: in.Path,
					Err: errors.New("--write-metadata needs an image that is a file")}
				in.Open = nil
			}
			beside := r.beside != nil && r.inside == nil && r.beside.Skips(in.Path)
			in.Skip = beside || r.file != nil && r.file.Has(in)
		}
		return yield(in)
	}
	if r.watch != nil {
		r.watch.All(ctx, each)
		return
	}
	good.All()(each)
}

// sink writes a batch. What it returns ends the run. Only what is written counts as done.
func (r *predictRun) sink(results []*output.Result) error {
	var n tally
	for _, res := range results {
		if res.Err != nil && r.watch != nil && r.watch.Again(res.Input) {
			continue
		}
		if err := r.one(res); err != nil {
			if r.file == nil { // what stands before it in the batch is written
				err = errors.Join(err, r.flush())
				r.add(n)
			}
			return err
		}
		switch {
		case res.Skip && (r.beside != nil && r.beside.Skips(res.Path) || r.inside != nil && r.file == nil):
			n.kept++
		case res.Skip:
			n.skipped++
		case res.Err != nil:
			n.failed++
		default:
			n.done++
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.add(n)
	return nil
}

func (r *predictRun) add(n tally) {
	r.tally.add(n)
	r.progress.Skip(n.skipped + n.kept)
	r.progress.Add(n.done, n.failed)
}

func (r *predictRun) one(res *output.Result) error {
	if res.Skip {
		return nil
	}
	res.Least = r.least
	if res.Err == nil && r.beside != nil {
		res.Err = r.beside.Write(res)
	}
	if res.Err == nil && r.inside != nil {
		res.Err = r.inside.Write(res)
	}
	if errors.Is(res.Err, syscall.ENOSPC) || errors.Is(res.Err, syscall.EDQUOT) { // so it would be for all that come
		return console.WithHint(res.Err, "make room and run again: --existing skip, the default, goes on")
	}
	if res.Err != nil {
		return r.fail(res.Input)
	}
	if r.sheet != nil {
		if err := r.sheet.Add(res); err != nil {
			return &weights.FileError{Doing: "write", File: r.o.HTML, Err: weights.Reason(err)}
		}
	}
	if res.Uncertain(res.Caption) {
		r.tally.uncertain++
	}
	if res.Preview != "" {
		r.con.Term.Log.Debug(fmt.Sprintf("%q: captioned the preview of a raw file (%s)", res.Path, res.Preview))
	}
	if err := r.format.Write(r.out, res); err != nil {
		return err
	}
	if r.file != nil {
		r.file.Note(res)
	}
	return nil
}

// fail reports one input, and lets the run go on. An image costs one line, whatever there is to say about it.
func (r *predictRun) fail(in input.Input) error {
	err := captioning.Hint(in.Err)
	switch hint := console.HintOf(err); {
	case in.Argument:
		r.con.Term.Fail(err)
	case hint != "":
		r.con.Term.Log.Error(console.Message(err) + " (" + hint + ")")
	default:
		r.con.Term.Log.Error(console.Message(err))
	}
	line := console.ErrorLine{Path: in.Path, PathBytes: output.RawBytes(in.Path), Error: console.Message(err),
		Hint: console.HintOf(err)}
	r.list.Add(line)
	if r.sheet != nil {
		if err := r.sheet.Fail(in); err != nil {
			return &weights.FileError{Doing: "write", File: r.o.HTML, Err: weights.Reason(err)}
		}
	}
	if r.o.Format != "jsonl" || r.o.Out != "" && !r.con.Options.JSON {
		return nil
	}
	w := io.Writer(r.con.Stdout)
	if r.buffer != nil {
		w = r.buffer
	}
	return console.WriteJSON(w, line)
}

func (r *predictRun) flush() error {
	if r.file == nil {
		return r.buffer.Flush()
	}
	if err := r.file.Commit(); err != nil || r.remote == nil {
		return err
	}
	return r.remote.Committed(false)
}

// noteStdin logs by which rule a list on standard input was read.
func noteStdin(con *console.Console) func(string) {
	return func(how string) { con.Term.Log.Warn("standard input: " + how) }
}
