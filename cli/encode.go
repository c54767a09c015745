package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/ranks"
	"captioner/data"
	"captioner/models/captioner"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/train/features"
	"captioner/torch"
	"captioner/torch/dist"
	"captioner/weights"
	"captioner/weights/plural"
)

// EncodeOptions are what the flags of encode say.
type EncodeOptions struct {
	Model flags.Model
	Ranks flags.Ranks

	Data, Images string
	NoRecursive  bool
	SkipBad      bool
	Mirrored     bool
	Memory       string
	Cache        string
	Out, Format  string
	ShardSize    int

	inputs []string
}

func newEncode(con *console.Console) *cli.Command {
	o := new(EncodeOptions)
	return &cli.Command{
		Name:      "encode",
		Usage:     "compute an encoder's features of images ahead",
		ArgsUsage: "[FILE or FOLDER…]",
		Description: `Fills the cache from which train takes the features of a frozen encoder: of the images of --data, or
of files and folders. What is there is not computed again; a run that was cut goes on; several processes
share the work. With --out, the features are also written for others, in float16, with an index and
checksums.`,
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			o.inputs = c.Args().Slice()
			if err := o.validate(); err != nil {
				return err
			}
			return ranks.Share(c.Context, con, o.Ranks,
				func(ctx context.Context, g *dist.Group) error { return runEncode(ctx, con, *o, g) })
		},
	}
}

func (o *EncodeOptions) flags() []cli.Flag {
	const input, output = "INPUT", "OUTPUT"
	var flags []cli.Flag
	for _, f := range o.Model.Flags() {
		if f.Names()[0] != "precision" { // what train looks for is float32's
			flags = append(flags, f)
		}
	}
	flags = append(flags,
		&cli.StringFlag{Name: "data", Usage: "encode the images of `CAPTIONS`, in any form that train takes",
			Category: input, Destination: &o.Data},
		&cli.StringFlag{Name: "images",
			Usage:    "`FOLDER` of the images of --data; without it, looked for beside the captions",
			Category: input, Destination: &o.Images},
		&cli.BoolFlag{Name: "no-recursive", Usage: "do not look into subfolders", Category: input,
			Destination: &o.NoRecursive},
		&cli.BoolFlag{Name: "skip-bad", Usage: "go on without images that are missing or cannot be decoded",
			Category: input, Destination: &o.SkipBad},
		&cli.BoolFlag{Name: "mirrored", Usage: "encode them as a mirror shows them, for train --flip", Category: input,
			Destination: &o.Mirrored},
		&cli.StringFlag{Name: "memory", Usage: "what train's --memory will be, where it is not what suits the encoder",
			Category: input, Destination: &o.Memory},
		&cli.StringFlag{Name: "cache", Usage: "`FOLDER` of cached features; without it, the user's cache folder",
			Category: output, Destination: &o.Cache, TakesFile: true},
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "also write the features into `FOLDER`",
			Category: output, Destination: &o.Out, TakesFile: true},
		&cli.StringFlag{Name: "format", Value: "safetensors", Usage: "of --out: safetensors or npy", Category: output,
			Destination: &o.Format},
		&cli.IntFlag{Name: "shard-size", Value: 10000, Usage: "images a file of --out", Category: output,
			Destination: &o.ShardSize})
	return append(flags, o.Ranks.Flags()...)
}

func (o *EncodeOptions) validate() error {
	var wrong console.Mistakes
	wrong.Check(o.Data != "" || len(o.inputs) > 0,
		"captioner encode folder/, or captioner encode --data captions.json",
		"nothing to encode: give --data, or files and folders")
	wrong.Check(o.Data == "" || len(o.inputs) == 0, "", "--data and files contradict each other: give one of them")
	file := strings.ToLower(filepath.Ext(o.Out))
	wrong.Check(file != ".npy" && file != ".safetensors", "--format npy or safetensors says what the files in it are",
		"--out %q: found the name of a file, want that of a folder", o.Out)
	wrong.Check(o.ShardSize >= 1, "", "--shard-size %d: want 1 or more", o.ShardSize)
	o.Model.Precision = "fp32"
	wrong.Add(console.OneOf("--format", o.Format, "safetensors", "npy"), o.Model.Validate(), o.Ranks.Validate())
	return wrong.Err()
}

// encodeResult is what encode reports.
type encodeResult struct {
	Images   int     `json:"images"`   // that have features now
	Computed int     `json:"computed"` // in this run
	Bad      int     `json:"bad"`
	Places   int64   `json:"places"`
	Width    int64   `json:"width"`
	Seconds  float64 `json:"seconds"`
	Encoding float64 `json:"encode_seconds"` // without the start and the loading of weights
	Cache    string  `json:"cache"`
	Out      string  `json:"out,omitempty"`
}

func runEncode(ctx context.Context, con *console.Console, o EncodeOptions, g *dist.Group) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, console.ErrInterrupted) && !errors.Is(err, console.ErrSome) {
			err = fmt.Errorf("encode: %w", err)
		}
	}()
	start := time.Now()
	cache, err := features.CacheDir(o.Cache)
	if err != nil {
		return err
	}
	pictures, missing, err := o.pictures(con)
	if err != nil {
		return err
	}
	e, err := openEncoder(ctx, con, &o, g)
	if err != nil {
		return err
	}
	defer e.Close()
	progress := console.NewProgress(con.Term, "image")
	progress.Expect(int64(len(pictures)))
	begun, ready := time.Now(), 0
	f, bad, err := features.Encode(ctx, e.encoder, e.config, pictures,
		features.Options{Cache: cache, Mirrored: o.Mirrored, Group: g, Done: func(n int) {
			progress.Add(int64(n-ready), 0)
			ready = n
		}})
	progress.Finish()
	if errors.Is(err, context.Canceled) {
		con.Term.Log.Warn("stopped: what was encoded is kept; the same command goes on from there")
		return console.ErrInterrupted
	}
	if err != nil {
		return err
	}
	defer f.Close()
	encoding := time.Since(begun).Seconds()
	for _, b := range bad {
		con.Term.Fail(b.Err)
	}
	r := encodeResult{Images: f.Len(), Computed: f.New, Bad: len(bad) + missing, Places: f.Positions, Width: f.Channels,
		Encoding: encoding, Out: o.Out}
	if r.Cache, err = features.Dir(cache, e.config); err != nil {
		return err
	}
	if r.Bad > 0 && !o.SkipBad && f.Len() == 0 {
		return fmt.Errorf("none of %s can be decoded", plural.Count(len(bad), "image"))
	}
	if o.Out != "" && g.IsLead() {
		w := output.FeatureWriter{Folder: o.Out, Format: o.Format, Size: o.ShardSize, Model: e.config.Encoder.Architecture}
		if err := w.Write(f, without(pictures, bad)); err != nil {
			return err
		}
	}
	r.Seconds = time.Since(start).Seconds()
	return r.print(con, o)
}

func (r encodeResult) print(con *console.Console, o EncodeOptions) error {
	var err error
	if con.Options.JSON {
		err = console.WriteJSON(con.Stdout, r)
	} else {
		where := r.Cache
		if r.Out != "" {
			where = r.Out
		}
		err = con.Printf("%s\t%s, %d of them new, %d x %d numbers each\n", where, plural.Count(r.Images, "image"),
			r.Computed, r.Places, r.Width)
	}
	if err == nil && r.Bad > 0 && !o.SkipBad {
		return console.ErrSome
	}
	return err
}

// images lists what is to be encoded, and counts what is not there.
func (o EncodeOptions) pictures(con *console.Console) (found []data.Example, missing int, err error) {
	if o.Data != "" {
		d, err := data.Open(o.Data, o.Images)
		if err != nil {
			return nil, 0, err
		}
		con.Term.Log.Info(fmt.Sprintf("%q is %s", o.Data, d.Kind))
		for e, err := range d.Source {
			switch {
			case err != nil:
				return nil, 0, err
			case e.Exists():
				found = append(found, e)
			default:
				missing++
				con.Term.Fail(fmt.Errorf("image %q of %q is missing or empty", e.Path, e.ID))
			}
		}
		for _, line := range d.Notes.Lines() {
			con.Term.Log.Warn(line)
		}
	} else {
		in := input.Inputs{Args: o.inputs, Passed: new(input.Passed), Recursive: !o.NoRecursive, Stdin: con.Stdin,
			Note: noteStdin(con), Cloud: new(cloud.Store)}
		defer in.Cloud.Close()
		for i := range in.All() {
			info, err := os.Stat(i.Path)
			switch {
			case i.Err != nil:
				err = i.Err
			case i.Open != nil:
				err = fail(i.Path, errors.New("want a file, encode opens no archives and no addresses (--data takes tar files)"))
			case err != nil:
				err = fail(i.Path, weights.Reason(err))
			case info.Size() == 0:
				err = fail(i.Path, errors.New("empty file"))
			}
			if err != nil {
				missing++
				con.Term.Fail(err)
				continue
			}
			found = append(found, data.Example{ID: i.Key, Path: i.Path})
		}
		in.Passed.Log(con.Term.Log)
	}
	if len(found) == 0 {
		return nil, missing, errors.New("found no images")
	}
	return found, missing, nil
}

func fail(path string, why error) error { return &input.Failure{Doing: "input", Path: path, Err: why} }

func without(pictures []data.Example, bad []features.Bad) []data.Example {
	for i := len(bad) - 1; i >= 0; i-- {
		pictures = append(pictures[:bad[i].Index:bad[i].Index], pictures[bad[i].Index+1:]...)
	}
	return pictures
}

// opened is an encoder on its device, with the configuration that train would use it by.
type opened struct {
	config  family.Config
	encoder *encoder.Runner
	file    io.Closer // which the tensors are of
}

// openEncoder loads the encoder of a model, or one by itself, as train would use it.
func openEncoder(ctx context.Context, con *console.Console, o *EncodeOptions, g *dist.Group) (*opened, error) {
	if err := model.FindWeights(ctx, con, &o.Model); err != nil {
		return nil, err
	}
	known, err := o.Model.Activation.Architectures(o.Model.Heads)
	if err != nil {
		return nil, err
	}
	open := openModelsEncoder
	if o.Model.Encoder != "" && o.Model.Path == "" {
		open = openBareEncoder
	}
	e, tensors, err := open(o, known)
	if err != nil {
		return nil, model.ModelHint(err)
	}
	if err := known.Heads.Unused(encoder.EncoderPart, encoder.DecoderPart); err != nil {
		return nil, errors.Join(err, e.file.Close())
	}
	model.Doubt(con, e.config.Encoder)
	err = torch.Do(ctx, func() (err error) {
		if o.Model.Threads > 0 {
			torch.SetThreads(o.Model.Threads)
		}
		dev, err := g.Device(o.Model.Device)
		if err != nil {
			return err
		}
		e.encoder, err = encoder.NewRunner(e.config.Encoder, e.config.Memory, tensors, dev, torch.Float32)
		return err
	})
	if err != nil {
		return nil, errors.Join(model.ModelHint(err), e.file.Close())
	}
	return e, nil
}

// openBareEncoder opens the encoder of --encoder by itself.
func openBareEncoder(o *EncodeOptions, known *checkpoint.Architectures) (*opened, weights.Source, error) {
	pre, err := known.OpenEncoder(o.Model.Encoder)
	if err != nil {
		return nil, nil, err
	}
	e := &opened{config: family.Config{Encoder: pre.Config}, file: pre}
	if _, err = pre.Checksum(); err == nil {
		e.config.Memory, err = encoder.NewMemory(pre.Config, o.Memory, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, pre.Close())
	}
	return e, pre.Source(), nil
}

// openModelsEncoder opens the encoder of the model.
func openModelsEncoder(o *EncodeOptions, known *checkpoint.Architectures) (*opened, weights.Source, error) {
	f, err := captioner.OpenFile(o.Model.Path, captioner.Options{Encoder: o.Model.Encoder, Architectures: known})
	if err != nil {
		return nil, nil, err
	}
	tensors, err := f.EncoderTensors()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	src, err := weights.NewMemory(tensors, nil)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return &opened{config: f.Config, file: f}, src, nil
}

// Close frees the encoder and closes its file.
func (e *opened) Close() error {
	err := torch.Do(context.Background(), func() error {
		e.encoder.Free()
		return nil
	})
	return errors.Join(err, e.file.Close())
}
