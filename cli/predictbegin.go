package cli

import (
	"bufio"
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"time"

	"captioner/cli/captioning"
	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/fleet"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/output/remote"
	"captioner/data/image"
	"captioner/models/decode"
	"captioner/weights/plural"
)

// noteShard says which part of the images a run takes, where the environment says it, or that it says one and is not
// asked.
func noteShard(con *console.Console, o *PredictOptions) {
	if o.shard.From != "" {
		con.Term.Log.Info(fmt.Sprintf("part %d of %d, as %s say", o.shard.Index+1, o.shard.Of, o.shard.From))
	} else if note := input.Missed(os.Getenv); o.Shard == "" && note != "" {
		con.Term.Log.Warn(note)
	}
}

// listed is what the arguments name.
func (o *PredictOptions) listed(ctx context.Context, con *console.Console, store *cloud.Store) input.Inputs {
	web := &input.Fetcher{Limit: int64(o.URLMaxMB) << 20, Timeout: o.URLTimeout, Private: o.URLPrivate}
	return input.Inputs{Args: o.inputs, Passed: new(input.Passed), Recursive: !o.NoRecursive, Stdin: con.Stdin,
		Image: o.StdinImage, Note: noteStdin(con), Cloud: store, Context: ctx, Web: web}
}

// check refuses, before a model is opened, what could not be captioned or written.
func (r *predictRun) check(ctx context.Context) error {
	if r.o.Watch {
		if err := input.CheckWatched(r.o.inputs); err != nil {
			return err
		}
	} else {
		r.bad = r.in.Check()
	}
	if err := r.refuse(); err != nil {
		return err
	}
	if err := r.checkOutputs(ctx); err != nil {
		return err
	}
	if err := r.checkSidecars(); err != nil {
		return err
	}
	if r.o.WriteMetadata {
		r.inside = &output.Embed{Existing: r.o.Existing, KeepTimes: r.o.KeepTimes, Render: r.sidecarText, Dry: r.o.dry(r.con)}
	}
	return nil
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
		Dry: r.o.dry(r.con)}
	listed := r.in
	listed.Args = slices.DeleteFunc(slices.Clone(listed.Args), func(arg string) bool { return arg == "-" })
	if o.unlisted() {
		r.beside.Follow()
	}
	return r.beside.Check(listed.Images(), o.named)
}

// dry returns what logs each change that --dry-run would make. It is nil where the run makes them.
func (o *PredictOptions) dry(con *console.Console) func(string) {
	if !o.DryRun {
		return nil
	}
	return func(what string) { con.Term.Log.Info(what) }
}

// identity is a short form of everything that decides what a run writes.
func identity(parts ...any) string {
	h := fnv.New128a()
	fmt.Fprintf(h, "%q", parts)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// begin sets up the pipeline and opens the outputs.
func (r *predictRun) begin() error {
	o := r.o
	options, err := o.Decode.Apply(r.model)
	if err != nil {
		return err
	}
	setPipeline(r, options)
	if r.least = o.MinConfidence; o.tellsUncertain() && !o.Decode.Set("min-confidence") {
		r.least = r.model.UncertainBelow()
	}
	if o.Out == "" {
		r.buffer = bufio.NewWriterSize(r.con.Term.Above(r.con.Stdout), 64<<10)
		r.out = r.buffer
	} else {
		if r.file, err = openJournal(r, options); err != nil {
			return err
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
	if r.format = formatOf(r, options); r.file != nil && r.file.Begun() {
		r.format.Resume()
	} else if err := r.format.Begin(r.out); err != nil {
		return err
	}
	r.progress = console.NewProgress(r.con.Term, "image")
	if o.countable() && !r.con.Options.Quiet {
		r.counted = make(chan struct{})
		go r.count(r.counted)
	}
	return nil
}

// setPipeline says how the images of a run are read and captioned.
func setPipeline(r *predictRun, options decode.Options) {
	o, p := r.o, &r.pipe
	*p = captioning.Pipeline{Captioner: r.model, Keep: o.Format == "webdataset", Thumbnail: o.HTML != ""}
	p.Options, p.Workers, p.Batch = options, o.Workers, o.batch(r.model)
	p.Image = image.Options{
		Orient: !o.NoOrient, AllowTruncated: o.AllowPartial, MaxPixels: maxPixels(o.MaxPixels),
	}
	far := func(arg string) bool { return input.IsURL(arg) || cloud.Is(arg) }
	if o.Watch || countDash(o.inputs) > 0 || slices.ContainsFunc(o.inputs, far) { // these come as they come
		p.Patient = 50 * time.Millisecond
	}
	if r.tags != nil {
		p.Tags = r.tags.Prepare
	}
	if t := o.Decode.Template(); t != nil {
		p.Prompt = t
		p.Each = func(res *output.Result) (decode.Options, error) {
			own, err := o.Decode.ApplyPrompt(r.model, res.Prompt)
			if err != nil {
				err = fmt.Errorf("caption %q: %w", res.Path, err)
			}
			return own, err
		}
	}
	if r.inside != nil {
		p.Skip = func(res *output.Result, b []byte) bool {
			return r.inside.Skips(b) && (r.beside == nil || r.beside.Skips(res.Path))
		}
	}
}

// batch is how many images go through a model together.
func (o *PredictOptions) batch(m model.Model) int {
	if o.BatchSize != autoBatch {
		return o.BatchSize
	}
	n := batchCPU
	if strings.HasPrefix(m.Device(), "cuda") {
		n = batchGPU
	}
	if all, ok := m.(*fleet.Fleet); ok {
		n *= all.Size()
	}
	return n
}

// tellsUncertain says whether the output has a field for what the model's card calls uncertain.
func (o *PredictOptions) tellsUncertain() bool { return o.Format == "jsonl" || o.Format == "parquet" }

// openJournal opens the file of --out, with all that decides what stands in it.
func openJournal(r *predictRun, options decode.Options) (*output.Journal, error) {
	sum, err := r.model.Checksum()
	if err != nil {
		return nil, err
	}
	j := r.o.journal()
	decide := []any{sum, model.Decides(&r.o.Model), r.o.NoOrient, r.o.Format, r.o.Template, r.least, options}
	if r.tags != nil { // without it, what earlier versions wrote
		decide = append(decide, r.tagged)
	}
	j.Identity = identity(decide...)
	path := r.o.Out
	if r.remote != nil {
		path = r.remote.File
	}
	file, err := output.OpenJournal(path, j)
	if err != nil {
		return nil, err
	}
	if r.remote != nil {
		if err := r.remote.Begun(); err != nil {
			return file, err
		}
	}
	if file.Foreign > 0 {
		r.con.Term.Log.Warn(keptLines(r.o.shown, file.Foreign))
	}
	return file, nil
}

// formatOf is the format of a run, which knows what its lines hold.
func formatOf(r *predictRun, options decode.Options) output.Format {
	return output.NewFormat(r.o.Format, output.Style{Model: r.model.Name(), Many: options.Captions > 1,
		Marks: r.o.MinConfidence > 0, Keywords: options.Keywords > 0, Tags: r.tags != nil, Template: r.o.template})
}

// countable says whether the images can be listed twice, once to count them for the bar.
func (o *PredictOptions) countable() bool {
	return countDash(o.inputs) == 0 && !o.StdinImage && !o.Watch && o.Embeddings == "" &&
		!slices.ContainsFunc(o.inputs, input.IsFetchedArchive)
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
