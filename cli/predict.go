package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/data/image"
)

// PredictOptions are what the flags of predict say.
type PredictOptions struct {
	Model  modelOptions
	Decode decodeFlags

	BatchSize, Workers     int
	Embeddings             string
	NoRecursive            bool
	StdinImage             bool
	URLTimeout             time.Duration
	URLMaxMB               int
	URLPrivate             bool
	NoOrient, AllowPartial bool
	Shard                  string

	Format, Out, Template string
	Resume                bool
	Sidecar, Existing     string
	MinConfidence         float64

	inputs   []string
	shard    shard
	template template
}

func newPredict(p *program) *cli.Command {
	var o PredictOptions
	return &cli.Command{
		Name:      "predict",
		Usage:     "caption pictures",
		ArgsUsage: "FILE|FOLDER|GLOB|ARCHIVE|URL|- ...",
		Description: `Prints a line "path<TAB>caption" for each picture, in natural order. Folders are searched with all their
subfolders; the pictures of a .tar, .tar.gz or .zip that is named come in its own order; http and https URLs are fetched;
"-" reads any of these from standard input, one a line or separated by NUL. A picture that cannot be read costs one line
on standard error (with --json also an object with path and error), and exit code 3 at the end.
In lines, a backslash, tab, line end or other control character of a path is written \\, \t, \n, \xNN.`,
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			o.inputs = c.Args().Slice()
			o.Decode.set = c.IsSet
			if p.common.JSON && !c.IsSet("format") {
				o.Format = "jsonl"
			}
			if o.Out != "" && !c.IsSet("format") && !p.common.JSON {
				o.Format = formatOf(o.Out)
			}
			if err := o.validate(p.common.JSON); err != nil {
				return err
			}
			if o.Embeddings != "" {
				return runEmbeddings(c.Context, p, o)
			}
			return runPredict(c.Context, p, o)
		},
	}
}

func (o *PredictOptions) flags() []cli.Flag {
	const input, output = "INPUT", "OUTPUT"
	flags := slices.Concat(o.Model.flags(), o.Decode.flags())
	return append(flags,
		&cli.StringFlag{Name: "embeddings", Usage: "caption the rows of `FILE` (.npy or .safetensors) in place of pictures: what the model's encoder gave for them", Category: input, Destination: &o.Embeddings, TakesFile: true},
		&cli.BoolFlag{Name: "no-recursive", Usage: "do not look into subfolders", Category: input, Destination: &o.NoRecursive},
		&cli.BoolFlag{Name: "stdin-image", Usage: "caption the one picture whose bytes come on standard input", Category: input, Destination: &o.StdinImage},
		&cli.DurationFlag{Name: "url-timeout", Value: 30 * time.Second, Usage: "the longest that fetching one URL may take", Category: input, Destination: &o.URLTimeout},
		&cli.IntFlag{Name: "url-max-mb", Value: 64, Usage: "the largest picture that is fetched, in `MB`", Category: input, Destination: &o.URLMaxMB},
		&cli.BoolFlag{Name: "url-private", Usage: "fetch from addresses of this machine and of private networks too, and through the proxy of the environment", Category: input, Destination: &o.URLPrivate},
		&cli.StringFlag{Name: "shard", Usage: "only part `I/N` of the pictures, 1/N to N/N: each picture is in one part, whatever files come or go", Category: input, Destination: &o.Shard},
		&cli.BoolFlag{Name: "no-orient", Usage: "do not turn pictures as their EXIF data says", Category: input, Destination: &o.NoOrient},
		&cli.BoolFlag{Name: "allow-truncated", Usage: "caption what there is of a picture whose end is missing", Category: input, Destination: &o.AllowPartial},
		&cli.IntFlag{Name: "batch-size", Value: autoBatch, DefaultText: fmt.Sprintf("%d, on a GPU %d", batchCPU, batchGPU), Usage: "pictures that go through the model together; captions do not depend on it", Category: input, Destination: &o.BatchSize},
		&cli.IntFlag{Name: "workers", Value: runtime.NumCPU(), DefaultText: "as many as there are cores", Usage: "goroutines that read and decode pictures", Category: input, Destination: &o.Workers},

		&cli.StringFlag{Name: "format", Value: "text", Usage: "form of the output: " + strings.Join(formats, ", ") + "; with --out, its extension decides", Category: output, Destination: &o.Format},
		&cli.StringFlag{Name: "template", Usage: "a `LINE` of --format text or a sidecar, with {" + strings.Join(fields, "}, {") + "}", Category: output, Destination: &o.Template},
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output: whole at the end, or not at all", Category: output, Destination: &o.Out, TakesFile: true},
		&cli.BoolFlag{Name: "resume", Usage: "go on with the --out of a run that was interrupted, or add to a finished one", Category: output, Destination: &o.Resume},
		&cli.StringFlag{Name: "sidecar", Usage: "also write each caption to a file beside its picture, with this `EXTENSION`, such as .txt", Category: output, Destination: &o.Sidecar},
		&cli.StringFlag{Name: "existing", Value: "skip", Usage: "a sidecar that is there already: " + strings.Join(policies, ", "), Category: output, Destination: &o.Existing},
		&cli.Float64Flag{Name: "min-confidence", Usage: "mark captions below this mean token probability, 0 to 1, as uncertain", Category: output, Destination: &o.MinConfidence},
	)
}

// The pictures of a batch, where the user does not say: on a processor more of them cost memory and gain nothing.
const (
	autoBatch = -1
	batchCPU  = 8
	batchGPU  = 64
)

// formatOf is the format that a file's name asks for.
func formatOf(path string) string {
	switch {
	case strings.HasSuffix(path, ".jsonl"), strings.HasSuffix(path, ".ndjson"):
		return "jsonl"
	case strings.HasSuffix(path, ".csv"):
		return "csv"
	case strings.HasSuffix(path, ".tsv"):
		return "tsv"
	case strings.HasSuffix(path, ".json"):
		return "coco"
	}
	return "text"
}

// validate checks all that can be checked before a model is loaded, and reports everything that is wrong.
func (o *PredictOptions) validate(json bool) error {
	var errs []error
	check := func(ok bool, hint, format string, args ...any) {
		if !ok {
			errs = append(errs, usagef(hint, format, args...))
		}
	}
	if o.Embeddings != "" {
		errs = append(errs, o.validateEmbeddings()...)
	}
	check(!o.StdinImage || len(o.inputs) == 0, "", "--stdin-image takes the picture from standard input alone, found also %q", o.inputs)
	check(o.URLTimeout > 0, "", "--url-timeout %v: want more than 0", o.URLTimeout)
	check(o.URLMaxMB >= 1 && o.URLMaxMB <= image.MaxFileBytes>>20, "", "--url-max-mb %d: want 1 to %d", o.URLMaxMB, image.MaxFileBytes>>20)
	check(o.StdinImage || o.Embeddings != "" || len(o.inputs) > 0, "captioner predict photo.jpg, or captioner predict folder/", "nothing to caption: give files, folders, or - for a list on standard input")
	check(countDash(o.inputs) <= 1, "", `"-" stands for standard input, and can be read once`)
	check(o.BatchSize == autoBatch || o.BatchSize >= 1 && o.BatchSize <= 4096, "", "--batch-size %d: want 1 to 4096", o.BatchSize)
	check(o.Workers >= 1 && o.Workers <= 1024, "", "--workers %d: want 1 to 1024", o.Workers)
	check(o.MinConfidence >= 0 && o.MinConfidence <= 1, "", "--min-confidence %g: want 0 to 1", o.MinConfidence)
	check(!json || o.Format == "jsonl", "leave out one of them", "--json and --format %s contradict each other", o.Format)
	check(!o.Resume || o.Out != "", "for sidecars, --existing skip goes on where a run ended", "--resume needs --out")
	check(o.Template == "" || o.Format == "text" || o.Sidecar != "", "", "--template does not apply to --format %s", o.Format)
	check(o.Sidecar == "" || validExtension(o.Sidecar), "", "--sidecar %q: want an extension such as .txt that no picture has", o.Sidecar)
	errs = append(errs, oneOf("--format", o.Format, formats...), oneOf("--existing", o.Existing, policies...), o.Model.validate(), o.Decode.validate())
	var err error
	if o.template, err = parseTemplate(o.Template); err != nil {
		errs = append(errs, err)
	}
	if o.shard, err = parseShard(o.Shard); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func countDash(args []string) (n int) {
	for _, a := range args {
		if a == "-" {
			n++
		}
	}
	return n
}

func validExtension(s string) bool {
	return len(s) > 1 && s[0] == '.' && !strings.ContainsAny(s, "/\\\x00") && !slices.Contains(extensions, strings.ToLower(s))
}

// shard is one part of n, counted from 0; the zero value is everything.
type shard struct{ index, of uint64 }

func parseShard(s string) (shard, error) {
	if s == "" {
		return shard{}, nil
	}
	var i, n uint64
	if _, err := fmt.Sscanf(s+"\n", "%d/%d\n", &i, &n); err != nil || i < 1 || i > n {
		return shard{}, usagef("", "--shard %q: want I/N with I from 1 to N", s)
	}
	return shard{i - 1, n}, nil
}

// holds says whether a picture is in this part: by a checksum of its path below the argument, so that others that come or go change nothing.
func (s shard) holds(key string) bool {
	if s.of == 0 {
		return true
	}
	h := fnv.New64a()
	io.WriteString(h, key)
	return h.Sum64()%s.of == s.index
}

func runPredict(ctx context.Context, p *program, o PredictOptions) (err error) {
	start := time.Now()
	in := inputs{args: o.inputs, recursive: !o.NoRecursive, stdin: p.stdin, image: o.StdinImage,
		web: &fetcher{limit: int64(o.URLMaxMB) << 20, timeout: o.URLTimeout, private: o.URLPrivate}}
	r := &predictRun{p: p, o: &o, in: in}
	r.bad = in.check()
	if err := r.refuse(); err != nil {
		return err
	}
	m, err := p.openModel(ctx, o.Model)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer m.Close()
	r.model = m
	p.term.log.Debug("model loaded", "model", m.Name(), "seconds", time.Since(start).Seconds())
	if err := r.begin(); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	return r.end(start, r.pipe.run(ctx, r.source, r.sink))
}

// predictRun is one run of predict.
type predictRun struct {
	p     *program
	o     *PredictOptions
	in    inputs
	bad   []input // arguments that yield nothing
	model model
	pipe  pipeline

	out     io.Writer // standard output, buffered, or file
	buffer  *bufio.Writer
	file    *outFile
	format  format
	beside  *sidecars
	told    *progress
	skipped int64
	done    int64
	failed  int64
}

// refuse ends a run of which no argument yields anything.
func (r *predictRun) refuse() error {
	if len(r.bad) < len(r.o.inputs) || r.in.image {
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
	r.pipe = pipeline{model: r.model, options: options, image: image.DefaultOptions(), workers: o.Workers, batch: o.BatchSize, patient: 50 * time.Millisecond}
	if o.BatchSize == autoBatch {
		r.pipe.batch = batchCPU
		if strings.HasPrefix(r.model.Device(), "cuda") {
			r.pipe.batch = batchGPU
		}
	}
	r.pipe.image.Orient, r.pipe.image.AllowTruncated = !o.NoOrient, o.AllowPartial
	r.format = newFormat(o.Format, r.model.Name(), options.Captions > 1, o.template)
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
		if r.file, err = openOutFile(o.Out, identity(sum, o.Format, o.Template, options), o.Resume); err != nil {
			return err
		}
		r.out = r.file
	}
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
		return res.caption.Text
	}
	return r.o.template.render(res.path, r.model.Name(), res.caption)
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
func (r *predictRun) source(yield func(input) bool) {
	good := r.in
	good.args = slices.DeleteFunc(slices.Clone(r.in.args), func(a string) bool {
		return slices.ContainsFunc(r.bad, func(b input) bool { return b.path == a })
	})
	for _, in := range r.bad {
		if !yield(in) {
			return
		}
	}
	for in := range good.all() {
		if in.err == nil {
			if !r.o.shard.holds(in.key) {
				continue
			}
			if r.beside != nil && in.open != nil {
				in.err, in.open = fmt.Errorf("input %q: a sidecar needs a picture that is a file", in.path), nil
			}
			in.skip = r.beside != nil && r.beside.skips(in.path) || r.file != nil && r.file.has(in)
		}
		if !yield(in) {
			return
		}
	}
}

// sink writes a batch. What it returns ends the run.
func (r *predictRun) sink(results []*result) error {
	var done, failed int64
	for _, res := range results {
		err := r.one(res)
		if err != nil {
			return err
		}
		switch {
		case res.skip:
			r.skipped++
		case res.err != nil:
			failed++
		default:
			done++
		}
	}
	r.done, r.failed = r.done+done, r.failed+failed
	r.told.add(int64(len(results))-failed, failed)
	return r.flush()
}

func (r *predictRun) one(res *result) error {
	if res.skip {
		return nil
	}
	if res.err == nil && r.beside != nil {
		res.err = r.beside.write(res)
	}
	if res.err != nil {
		return r.fail(res.input)
	}
	res.uncertain = res.caption.Confidence < r.o.MinConfidence
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
	if r.o.Format != "jsonl" || r.o.Out != "" && !r.p.common.JSON {
		return nil
	}
	w := io.Writer(r.p.stdout)
	if r.buffer != nil {
		w = r.buffer
	}
	return writeJSON(w, errorLine{Path: in.path, PathBytes: rawBytes(in.path), Error: oneLine(err), Hint: hintOf(err)})
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
	if r.done+r.failed+r.skipped > 1 && !errors.Is(err, syscall.EPIPE) {
		r.p.term.log.Info(r.summary(time.Since(start)))
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

// summary is the last line: how many, how fast, and where the time went.
func (r *predictRun) summary(took time.Duration) string {
	seconds := func(ns int64) float64 { return time.Duration(ns).Seconds() }
	var s strings.Builder
	fmt.Fprintf(&s, "%d captions", r.done)
	if r.skipped > 0 {
		fmt.Fprintf(&s, ", %d done before", r.skipped)
	}
	if r.failed > 0 {
		fmt.Fprintf(&s, ", %d failed", r.failed)
	}
	t := &r.pipe.times
	fmt.Fprintf(&s, " in %.2f s (%.1f images/s); decoding pictures took %.2f s over %d workers, captioning %.2f s, writing %.2f s", took.Seconds(),
		float64(r.done)/took.Seconds(), seconds(t.decode.Load()), r.o.Workers, seconds(t.caption.Load()), seconds(t.write.Load()))
	return s.String()
}
