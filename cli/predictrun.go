package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"strings"
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
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/decode"
	"captioner/models/tags"
	"captioner/weights"
	"captioner/weights/plural"
)

func runPredict(ctx context.Context, con *console.Console, o PredictOptions) (err error) {
	start := time.Now()
	if o.shard.From != "" {
		con.Term.Log.Info(fmt.Sprintf("part %d of %d, as %s say", o.shard.Index+1, o.shard.Of, o.shard.From))
	} else if note := input.Missed(os.Getenv); o.Shard == "" && note != "" {
		con.Term.Log.Warn(note)
	}
	store := &cloud.Store{Stall: o.URLTimeout}
	defer store.Close()
	o.shown = o.Out
	in := input.Inputs{Args: o.inputs, Passed: new(input.Passed), Recursive: !o.NoRecursive, Stdin: con.Stdin,
		Image: o.StdinImage, Note: noteStdin(con), Cloud: store, Context: ctx,
		Web: &input.Fetcher{Limit: int64(o.URLMaxMB) << 20, Timeout: o.URLTimeout, Private: o.URLPrivate}}
	r := &predictRun{con: con, o: &o, in: in}
	if o.Watch {
		if err := input.CheckWatched(o.inputs); err != nil {
			return err
		}
	} else {
		r.bad = in.Check()
	}
	if err := r.refuse(); err != nil {
		return err
	}
	if err := r.checkOutputs(ctx); err != nil {
		return err
	}
	defer r.remote.Close()
	if err := r.checkSidecars(); err != nil {
		return err
	}
	if o.WriteMetadata {
		r.inside = &output.Embed{Existing: o.Existing, KeepTimes: o.KeepTimes, Render: r.sidecarText, Dry: r.dry()}
	}
	m, err := o.open(ctx, con)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer m.Close()
	r.model = m
	if o.Tags.File != "" {
		if r.tags, r.tagged, err = tagging.Open(ctx, con, o.Tags, o.Model); err != nil {
			return fmt.Errorf("predict: %w", err)
		}
		defer r.tags.Close()
		r.pipe.Tags = r.tags.Prepare
	}
	con.Term.Log.Debug("model loaded", "model", m.Name(), "seconds", time.Since(start).Seconds())
	if err := r.begin(); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	sink := func(results []*output.Result) error {
		if err := tagging.Tag(ctx, r.tags, results); err != nil {
			return err
		}
		return r.sink(results)
	}
	err = r.pipe.Run(ctx, func(yield func(input.Input) bool) { r.source(ctx, yield) }, nil, sink)
	if err == nil && r.fatal != nil { // without an error the source has come to its end
		err = r.fatal
	}
	if o.Watch && errors.Is(err, console.ErrInterrupted) {
		err = nil // that is how it ends
	}
	return r.end(start, err)
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

// begin opens the outputs and sets up the pipeline.
func (r *predictRun) begin() error {
	o := r.o
	options, err := o.Decode.Apply(r.model)
	if err != nil {
		return err
	}
	r.pipe = captioning.Pipeline{Captioner: r.model, Keep: o.Format == "webdataset", Thumbnail: o.HTML != "",
		Tags: r.pipe.Tags}
	r.pipe.Options, r.pipe.Workers, r.pipe.Batch = options, o.Workers, o.BatchSize
	far := func(arg string) bool { return input.IsURL(arg) || cloud.Is(arg) }
	if o.Watch || countDash(o.inputs) > 0 || slices.ContainsFunc(o.inputs, far) { // these come as they come
		r.pipe.Patient = 50 * time.Millisecond
	}
	if o.BatchSize == autoBatch {
		r.pipe.Batch = batchCPU
		if strings.HasPrefix(r.model.Device(), "cuda") {
			r.pipe.Batch = batchGPU
		}
		if all, ok := r.model.(*fleet.Fleet); ok {
			r.pipe.Batch *= all.Size()
		}
	}
	if t := o.Decode.Template(); t != nil {
		r.pipe.Prompt = t
		r.pipe.Each = func(res *output.Result) (decode.Options, error) {
			own, err := o.Decode.ApplyPrompt(r.model, res.Prompt)
			if err != nil {
				err = fmt.Errorf("caption %q: %w", res.Path, err)
			}
			return own, err
		}
	}
	if r.inside != nil {
		r.pipe.Skip = func(res *output.Result, b []byte) bool {
			return r.inside.Skips(b) && (r.beside == nil || r.beside.Skips(res.Path))
		}
	}
	r.pipe.Image = image.Options{
		Orient: !o.NoOrient, AllowTruncated: o.AllowPartial, MaxPixels: maxPixels(o.MaxPixels),
	}
	r.format = output.NewFormat(o.Format, output.Style{Model: r.model.Name(), Many: options.Captions > 1,
		Marks: o.MinConfidence > 0, Keywords: options.Keywords > 0, Tags: r.tags != nil, Template: o.template})
	if r.least = o.MinConfidence; (o.Format == "jsonl" || o.Format == "parquet") && !o.Decode.Set("min-confidence") {
		r.least = r.model.UncertainBelow()
	}
	if o.Out == "" {
		r.buffer = bufio.NewWriterSize(r.con.Term.Above(r.con.Stdout), 64<<10)
		r.out = r.buffer
	} else {
		sum, err := r.model.Checksum()
		if err != nil {
			return err
		}
		j := o.journal()
		decide := []any{sum, model.Decides(&o.Model), o.NoOrient, o.Format, o.Template, r.least, options}
		if r.tags != nil { // without it, what earlier versions wrote
			decide = append(decide, r.tagged)
		}
		j.Identity = identity(decide...)
		path := o.Out
		if r.remote != nil {
			path = r.remote.File
		}
		if r.file, err = output.OpenJournal(path, j); err != nil {
			return err
		}
		if r.remote != nil {
			if err := r.remote.Begun(); err != nil {
				return err
			}
		}
		if r.file.Foreign > 0 {
			r.con.Term.Log.Warn(keptLines(o.shown, r.file.Foreign))
		}
		r.out = r.file
	}
	if r.list, err = output.NewFailures(o.Failures); err != nil {
		return err
	}
	if r.remote.Lists(o.Failures) {
		r.list.Name = o.shown + ".failed"
	}
	if o.HTML != "" {
		if r.sheet, err = output.NewGallery(o.HTML, r.model.Name()); err != nil {
			return err
		}
	}
	if o.Watch {
		if r.watch, err = input.NewWatcher(r.in, r.con.Term); err != nil {
			return err
		}
	}
	r.before = r.model.Times()
	if r.file == nil || !r.file.Begun() {
		if err := r.format.Begin(r.out); err != nil {
			return err
		}
	} else {
		r.format.Resume()
	}
	r.progress = console.NewProgress(r.con.Term, "image")
	if !r.con.Options.Quiet && countDash(o.inputs) == 0 && !o.StdinImage && !o.Watch && o.Embeddings == "" &&
		!slices.ContainsFunc(o.inputs, input.IsFetchedArchive) {
		r.counted = make(chan struct{})
		go r.count(r.counted)
	}
	return nil
}

// keptLines says that --out keeps n lines that hold no captions.
func keptLines(out string, n int) string {
	if n == 1 {
		return fmt.Sprintf("%q: kept 1 line that is not a caption", out)
	}
	return fmt.Sprintf("%q: kept %s that are not captions", out, plural.Count(n, "line"))
}

// journal says how the file of --out begins, but for the model.
func (o *PredictOptions) journal() output.JournalOptions {
	return output.JournalOptions{Format: o.Format, Template: o.Template != "", Resume: o.Resume, Overwrite: o.Overwrite,
		Live: o.Watch, Name: o.shown}
}

// checkOutputs looks at what is there of the outputs before a model is opened.
func (r *predictRun) checkOutputs(ctx context.Context) (err error) {
	o := r.o
	if cloud.Is(o.Out) {
		if r.remote, err = remote.Open(ctx, r.in.Cloud, o.Out, o.journal()); err != nil {
			return err
		}
		if o.shown = r.remote.String(); o.Failures == "" {
			o.Failures = r.remote.Failed()
		}
	}
	if o.Failures == "" && o.Out != "" {
		o.Failures = o.Out + ".failed"
	}
	if err := output.CheckFailures(o.Failures); err != nil {
		return err
	}
	if err := output.CheckPage("--html", o.HTML); err != nil {
		return err
	}
	if o.Out == "" || r.remote != nil {
		return nil
	}
	return output.CheckOut(o.Out, o.journal())
}

// checkSidecars looks at which sidecars there will be, as far as the images can be listed.
func (r *predictRun) checkSidecars() error {
	o := r.o
	if o.Sidecar == "" {
		return nil
	}
	r.beside = &output.Sidecars{Extension: o.Sidecar, Existing: o.Existing, Names: o.SidecarName, Render: r.sidecarText,
		Dry: r.dry()}
	listed := r.in
	listed.Args = slices.DeleteFunc(slices.Clone(listed.Args), func(arg string) bool { return arg == "-" })
	if o.unlisted() {
		r.beside.Follow()
	}
	return r.beside.Check(listed.Images(), o.named)
}

// dry is who is told what --dry-run would write; nil where it is written.
func (r *predictRun) dry() func(string) {
	if !r.o.DryRun {
		return nil
	}
	return func(what string) { r.con.Term.Log.Info(what) }
}

// identity is a short form of everything that decides what a run writes.
func identity(parts ...any) string {
	h := fnv.New128a()
	fmt.Fprintf(h, "%q", parts)
	return fmt.Sprintf("%x", h.Sum(nil))
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
