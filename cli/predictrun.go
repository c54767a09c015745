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

	"captioner/data/image"
	"captioner/models/captioner"
)

func runPredict(ctx context.Context, p *console, o PredictOptions) (err error) {
	start := time.Now()
	if o.shard.from != "" {
		p.term.log.Info(fmt.Sprintf("part %d of %d, as %s say", o.shard.index+1, o.shard.of, o.shard.from))
	} else if note := missed(os.Getenv); o.Shard == "" && note != "" {
		p.term.log.Warn(note)
	}
	in := inputs{args: o.inputs, recursive: !o.NoRecursive, stdin: p.stdin, image: o.StdinImage,
		web: &fetcher{limit: int64(o.URLMaxMB) << 20, timeout: o.URLTimeout, private: o.URLPrivate}}
	r := &predictRun{p: p, o: &o, in: in}
	if o.Watch {
		if err := checkWatched(o.inputs); err != nil {
			return err
		}
	} else {
		r.bad = in.check()
	}
	if err := r.refuse(); err != nil {
		return err
	}
	m, err := openModel(ctx, p, o.load, o.Model)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer m.Close()
	r.model = m
	p.term.log.Debug("model loaded", "model", m.Name(), "seconds", time.Since(start).Seconds())
	if err := r.begin(); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	err = r.pipe.run(ctx, func(yield func(input) bool) { r.source(ctx, yield) }, r.sink)
	if o.Watch && errors.Is(err, errInterrupted) {
		err = nil // that is how it ends
	}
	return r.end(start, err)
}

// predictRun is one run of predict.
type predictRun struct {
	p     *console
	o     *PredictOptions
	in    inputs
	bad   []input // arguments that yield nothing
	model model
	pipe  pipeline

	out    io.Writer // standard output, buffered, or file
	buffer *bufio.Writer
	file   *outFile
	format format
	beside *sidecars
	told   *progress
	list   *failures
	sheet  *sheet          // of --html
	watch  *watcher        // of --watch
	before captioner.Times // the model's, when the run began

	done, failed, skipped, uncertain int64
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
	return errReported
}

// begin opens the outputs and sets up the pipeline.
func (r *predictRun) begin() error {
	o := r.o
	options, err := o.Decode.apply(r.model)
	if err != nil {
		return err
	}
	r.pipe = pipeline{model: r.model, options: options, image: image.DefaultOptions(), workers: o.Workers, batch: o.BatchSize,
		keep: o.Format == "webdataset", show: o.HTML != ""}
	if o.Watch || countDash(o.inputs) > 0 || slices.ContainsFunc(o.inputs, isURL) { // these come as they come
		r.pipe.patient = 50 * time.Millisecond
	}
	if o.BatchSize == autoBatch {
		r.pipe.batch = batchCPU
		if strings.HasPrefix(r.model.Device(), "cuda") {
			r.pipe.batch = batchGPU
		}
	}
	r.pipe.image.Orient, r.pipe.image.AllowTruncated = !o.NoOrient, o.AllowPartial
	r.format = newFormat(o.Format, style{model: r.model.Name(), many: options.Captions > 1, marks: o.MinConfidence > 0, template: o.template})
	if o.Sidecar != "" {
		r.beside = &sidecars{extension: o.Sidecar, existing: o.Existing, render: r.sidecarText}
	}
	if o.Out == "" {
		r.buffer = bufio.NewWriterSize(r.p.stdout, 64<<10)
		r.out = r.buffer
	} else {
		sum, err := r.model.Checksum()
		if err != nil {
			return err
		}
		if r.file, err = openOutFile(o.Out, identity(sum, modelDecides(&o.Model), o.NoOrient, o.Format, o.Template, o.MinConfidence, options), o.Resume); err != nil {
			return err
		}
		r.out = r.file
	}
	if o.Failures == "" && o.Out != "" {
		o.Failures = o.Out + ".failed"
	}
	if r.list, err = newFailures(o.Failures); err != nil {
		return err
	}
	if o.HTML != "" {
		if r.sheet, err = newSheet(o.HTML, r.model.Name()); err != nil {
			return err
		}
	}
	if o.Watch {
		if r.watch, err = newWatcher(r.in, r.p.term); err != nil {
			return err
		}
		r.p.term.live = false // there is no end to measure
	}
	r.before = r.model.Times()
	if r.file == nil || r.file.size == 0 {
		if err := r.format.begin(r.out); err != nil {
			return err
		}
	} else {
		r.format.resume()
	}
	if r.file == nil && isTerminal(r.p.stdout) {
		r.p.term.live = false // the captions show how far it is, and a bar would stand in their way
	}
	r.told = newProgress(r.p.term, "pictures")
	if r.p.term.live && countDash(o.inputs) == 0 && !o.StdinImage {
		go r.count()
	}
	return nil
}

// identity is a short form of everything that decides what a run writes.
func identity(parts ...any) string {
	h := fnv.New128a()
	fmt.Fprintf(h, "%q", parts)
	return fmt.Sprintf("%x", h.Sum(nil))
}

func (r *predictRun) sidecarText(res *result) string {
	if r.o.Template == "" {
		return res.marked(res.caption, res.caption.Text)
	}
	return r.o.template.render(res, r.model.Name(), res.caption)
}

// count finds out how many pictures there are, for the bar.
func (r *predictRun) count() {
	n := int64(0)
	all := r.in
	all.counting = true
	for in := range all.all() {
		if in.err == nil && r.o.shard.holds(in.key) {
			n++
		}
	}
	r.told.expect(n)
}

// source lists what is to be captioned: the arguments that are in order, without what is done already.
func (r *predictRun) source(ctx context.Context, yield func(input) bool) {
	good := r.in
	good.args = slices.DeleteFunc(slices.Clone(r.in.args), func(a string) bool {
		return slices.ContainsFunc(r.bad, func(b input) bool { return b.path == a })
	})
	for _, in := range r.bad {
		if !yield(in) {
			return
		}
	}
	each := func(in input) bool {
		if in.err == nil {
			if !r.o.shard.holds(in.key) {
				return true
			}
			if r.beside != nil && in.open != nil {
				in.err, in.open = fmt.Errorf("input %q: a sidecar needs a picture that is a file", in.path), nil
			}
			in.skip = r.beside != nil && r.beside.skips(in.path) || r.file != nil && r.file.has(in)
		}
		return yield(in)
	}
	if r.watch != nil {
		r.watch.all(ctx, each)
		return
	}
	good.all()(each)
}

// sink writes a batch. What it returns ends the run.
func (r *predictRun) sink(results []*result) error {
	var done, failed, skipped int64
	for _, res := range results {
		if res.err != nil && r.watch != nil && r.watch.again(res.input) {
			continue
		}
		err := r.one(res)
		if err != nil {
			return err
		}
		switch {
		case res.skip:
			skipped++
		case res.err != nil:
			failed++
		default:
			done++
		}
	}
	r.done, r.failed, r.skipped = r.done+done, r.failed+failed, r.skipped+skipped
	r.told.add(done+skipped, failed)
	return r.flush()
}

func (r *predictRun) one(res *result) error {
	if res.skip {
		return nil
	}
	res.least = r.o.MinConfidence
	if res.err == nil && r.beside != nil {
		res.err = r.beside.write(res)
	}
	if errors.Is(res.err, syscall.ENOSPC) || errors.Is(res.err, syscall.EDQUOT) { // so it would be for all that come
		return withHint(res.err, "make room and run again: --existing skip, the default, goes on")
	}
	if res.err != nil {
		return r.fail(res.input)
	}
	if r.sheet != nil {
		if err := r.sheet.add(res); err != nil {
			return fmt.Errorf("write %q: %w", r.o.HTML, reason(err))
		}
	}
	if res.uncertain(res.caption) {
		r.uncertain++
	}
	if err := r.format.write(r.out, res); err != nil {
		return err
	}
	if r.file != nil {
		r.file.note(res)
	}
	return nil
}

// fail reports one input, and lets the run go on. A picture costs one line, whatever there is to say about it.
func (r *predictRun) fail(in input) error {
	err := decodeHint(in.err)
	switch hint := hintOf(err); {
	case in.argument:
		r.p.term.fail(err)
	case hint != "":
		r.p.term.log.Error(oneLine(err) + " (" + hint + ")")
	default:
		r.p.term.log.Error(oneLine(err))
	}
	line := errorLine{Path: in.path, PathBytes: rawBytes(in.path), Error: oneLine(err), Hint: hintOf(err)}
	r.list.add(line)
	if r.sheet != nil {
		if err := r.sheet.fail(in); err != nil {
			return fmt.Errorf("write %q: %w", r.o.HTML, reason(err))
		}
	}
	if r.o.Format != "jsonl" || r.o.Out != "" && !r.p.common.JSON {
		return nil
	}
	w := io.Writer(r.p.stdout)
	if r.buffer != nil {
		w = r.buffer
	}
	return writeJSON(w, line)
}

// decodeHint adds the remedy to what is wrong with a picture.
func decodeHint(err error) error {
	switch {
	case errors.Is(err, image.ErrTruncated):
		return withHint(err, "--allow-truncated captions what there is")
	case errors.Is(err, image.ErrTooLarge):
		return withHint(err, "scale the picture down first")
	}
	return err
}

func (r *predictRun) flush() error {
	if r.file != nil {
		return r.file.commit()
	}
	return r.buffer.Flush()
}

// end closes the outputs and says how it went.
func (r *predictRun) end(start time.Time, err error) error {
	r.told.finish()
	if err == nil {
		err = r.complete()
	} else if r.file != nil {
		r.file.close()
		r.p.term.log.Warn(fmt.Sprintf("%d captions are in %q", len(r.file.done)+int(r.done), r.o.Out+".part"), "hint", "run again with --resume to go on")
	}
	if err := r.list.close(); err != nil {
		r.p.term.log.Warn(fmt.Sprintf("the list of what failed is not whole: write %q: %v", r.o.Failures, reason(err)))
	}
	took := time.Since(start)
	if r.sheet != nil && err == nil {
		err = r.sheet.finish(r.summary(took))
	} else if r.sheet != nil {
		r.sheet.abandon()
	}
	if r.done+r.failed+r.skipped > 1 && !errors.Is(err, syscall.EPIPE) {
		r.p.term.log.Info(r.summary(took))
	}
	switch {
	case err != nil:
		return err
	case r.failed > 0:
		return errSome
	}
	return nil
}

func (r *predictRun) complete() error {
	if err := r.format.end(r.out); err != nil {
		return err
	}
	if r.file != nil {
		return r.file.finish()
	}
	return r.buffer.Flush()
}

// summary is the last line: how many, how fast, and where the time went. The stages work side by side: their times add up to more than it took.
func (r *predictRun) summary(took time.Duration) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d captions", r.done)
	if r.uncertain > 0 {
		fmt.Fprintf(&s, " (%d uncertain)", r.uncertain)
	}
	if r.skipped > 0 {
		fmt.Fprintf(&s, ", %d done before", r.skipped)
	}
	if r.failed > 0 {
		fmt.Fprintf(&s, ", %d failed%s", r.failed, r.list.listed())
	}
	t, m := &r.pipe.times, r.model.Times()
	fmt.Fprintf(&s, " in %.2f s, %.1f images/s; time in decode %.2f s over %d workers, encode %.2f s, generate %.2f s, write %.2f s",
		took.Seconds(), float64(r.done)/took.Seconds(), time.Duration(t.decode.Load()).Seconds(), r.o.Workers, (m.Encode - r.before.Encode).Seconds(),
		(m.Generate - r.before.Generate).Seconds(), time.Duration(t.write.Load()).Seconds())
	return s.String()
}
