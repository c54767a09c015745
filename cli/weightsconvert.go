package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/inspect"
	"captioner/cli/model"
	"captioner/cli/published"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/atomicfile"
	"captioner/weights/pickle"
	"captioner/weights/plural"
	"captioner/weights/safetensors"
)

// formTensors is the form of any file of tensors, whatever they are for.
const formTensors = "tensors"

// ConvertOptions are what the flags of weights convert say.
type ConvertOptions struct {
	In, Out, To, Encoder, DType string
	Heads                       flags.Heads
	Activation                  flags.Activation
	NoMasks, Force              bool
}

func newConvert(con *console.Console) *cli.Command {
	o := ConvertOptions{DType: "keep"}
	return &cli.Command{
		Name:      "convert",
		Usage:     "write a captioner in another form: for Python, or as one file for captioner",
		ArgsUsage: "IN OUT",
		Description: `IN is any file or folder that --model takes, a name of "captioner weights list", ORG/NAME of the
Hugging Face hub, or demo, the built-in model. OUT's name chooses the form:
  .safetensors  captioner    one file for captioner, with the encoder in it if IN has one or --encoder gives it
  .ckpt         lightning    for Decoder.load_from_checkpoint of clip-text-decoder 1.4
  .pt .pth      state-dict   for Decoder.load_state_dict of clip-text-decoder 1.4
  folder        huggingface  for GPT2LMHeadModel.from_pretrained, VisionEncoderDecoderModel or, of a BLIP,
                             BlipForConditionalGeneration, with its tokenizer
  --to tensors               all tensors of any file under their own names, as .safetensors or .pt
Nothing in IN is run. OUT appears whole or not at all.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to",
				Usage: "`FORM`: captioner, lightning, state-dict, huggingface or tensors; without it, by OUT's " +
					"name", Destination: &o.To},
			&cli.StringFlag{Name: "encoder", Usage: "`FILE` or name of the vision encoder, for a checkpoint that leaves it out",
				Destination: &o.Encoder, TakesFile: true},
			o.Heads.Flag(""),
			o.Activation.Flag(""),
			&cli.StringFlag{Name: "dtype", Value: o.DType, Usage: "keep, fp32, fp16 or bf16", Destination: &o.DType},
			&cli.BoolFlag{Name: "no-masks",
				Usage: "leave out the constant masks that transformers before 4.27 wants in lightning and " +
					"state-dict", Destination: &o.NoMasks},
			&cli.BoolFlag{Name: "force", Usage: "replace OUT if it is there", Destination: &o.Force},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return console.Usagef("", "weights convert takes IN and OUT, found %s", plural.Count(c.NArg(), "argument"))
			}
			o.In, o.Out = c.Args().Get(0), c.Args().Get(1)
			return runConvert(c.Context, con, o)
		},
	}
}

// conversion is what "weights convert --json" prints.
type conversion struct {
	In   string `json:"in"`
	Out  string `json:"out"`
	Form string `json:"form"`
	// Bytes is the size of the file, or of a folder's model.safetensors, and SHA256 that one's checksum.
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func runConvert(ctx context.Context, con *console.Console, o ConvertOptions) error {
	dtype, err := dtypeNamed(o.DType)
	if err != nil {
		return err
	}
	if o.To == "" {
		form, err := checkpoint.FormOf(o.Out)
		if err != nil {
			return console.Usagef("--to chooses the form", "OUT %q: %v", o.Out, err)
		}
		o.To = string(form)
	}
	if err := console.OneOf("--to", o.To, "captioner", "lightning", "state-dict", "huggingface", formTensors); err != nil {
		return err
	}
	if err := o.mayWrite(); err != nil {
		return err
	}
	in, err := published.Locate(ctx, con, checkpoint.AnyUse, o.In)
	if err != nil {
		return err
	}
	if o.To == formTensors {
		err = convertTensors(ctx, in, o.Out, dtype)
	} else {
		err = convertModel(ctx, con, in, o, checkpoint.ExportOptions{DType: dtype, Masks: !o.NoMasks})
	}
	if err != nil {
		err = fmt.Errorf("convert %q: %w", o.In, err)
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) ||
			errors.Is(err, syscall.EACCES) {
			return console.WithHint(err, "nothing was left behind: give OUT a place with room that can be written")
		}
		return err
	}
	return converted(con, o)
}

// mayWrite refuses to write over what is there.
func (o ConvertOptions) mayWrite() error {
	out, err := os.Stat(o.Out)
	if err != nil {
		return nil // whatever is wrong with it, writing says so
	}
	if out.IsDir() || o.Force {
		return nil // a folder has its own rules
	}
	return console.WithHint(fmt.Errorf("convert %q: %q is there already", o.In, o.Out), "--force replaces it")
}

func dtypeNamed(name string) (*weights.DType, error) {
	types := map[string]weights.DType{"fp32": weights.F32, "fp16": weights.F16, "bf16": weights.BF16}
	if err := console.OneOf("--dtype", name, "keep", "fp32", "fp16", "bf16"); err != nil || name == "keep" {
		return nil, err
	}
	d := types[name]
	return &d, nil
}

func convertModel(ctx context.Context, con *console.Console, in string, o ConvertOptions,
	eo checkpoint.ExportOptions) error {
	known, err := o.Activation.Architectures(o.Heads)
	if err != nil {
		return err
	}
	f, err := inspect.OpenDescribed(in, known)
	if err != nil {
		return console.WithHint(err,
			"\"captioner weights inspect %s\" says what it is; --to tensors converts any file of tensors", o.In)
	}
	defer f.Close()
	if o.Encoder != "" {
		path, err := published.Locate(ctx, con, checkpoint.AsEncoder, o.Encoder)
		if err != nil {
			return err
		}
		opened := *known
		opened.Heads = known.Heads.Expecting(f.Config.Encoder.Encoder)
		e, err := opened.OpenEncoder(path)
		if err != nil {
			return err
		}
		if err := f.UseEncoder(e); err != nil {
			e.Close()
			return err
		}
	}
	if err := known.Heads.Unused(encoder.EncoderPart, encoder.DecoderPart); err != nil {
		return err
	}
	model.Doubt(con, f.Config.Encoder)
	if info, err := os.Stat(in); err == nil && info.Mode().IsRegular() {
		sum, err := f.Checksum()
		if err != nil {
			return err
		}
		eo.Origin = fmt.Sprintf("converted from %s, SHA-256 %s", filepath.Base(in), sum)
	}
	return f.Export(ctx, o.Out, checkpoint.Form(o.To), eo)
}

// convertTensors writes the tensors of any file. Of a training checkpoint these are its state dict.
func convertTensors(ctx context.Context, in, out string, d *weights.DType) error {
	src, _, err := inspect.OpenWeights(in)
	if err != nil {
		return err
	}
	defer src.Close()
	tensors, err := stateDict(src)
	if err != nil {
		return err
	}
	for i, t := range tensors {
		if d != nil && t.DType.Float() {
			if tensors[i], err = t.Convert(*d); err != nil {
				return err
			}
		}
	}
	meta := map[string]string{"format": "pt"} // as Python's libraries want it
	switch ext := strings.ToLower(filepath.Ext(out)); ext {
	case ".safetensors":
		return writeUntil(ctx, out, func(w io.Writer) error { return safetensors.Write(w, tensors, meta) })
	case ".pt", ".pth", ".bin":
		state := &pickle.Dict{Ordered: true}
		for _, t := range tensors {
			state.Set(t.Name, t)
		}
		return writeUntil(ctx, out, func(w io.Writer) error { return pickle.Write(w, state) })
	default:
		return console.Usagef("", "OUT %q: found the extension %q, want .safetensors or .pt", out, ext)
	}
}

func stateDict(src weights.Source) ([]weights.NamedTensor, error) {
	const prefix = "state_dict."
	all, err := weights.All(src)
	if err != nil {
		return nil, err
	}
	var inner []weights.NamedTensor
	for _, t := range all {
		if name, ok := strings.CutPrefix(t.Name, prefix); ok {
			t.Name = name
			inner = append(inner, t)
		}
	}
	if len(inner) > 0 {
		return inner, nil
	}
	return all, nil
}

// writeUntil is atomicfile.WriteFile that stops when the context ends.
func writeUntil(ctx context.Context, path string, write func(io.Writer) error) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		return write(writerFunc(func(b []byte) (int, error) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			return w.Write(b)
		}))
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// converted reports what was written.
func converted(con *console.Console, o ConvertOptions) error {
	path := o.Out
	if o.To == string(checkpoint.FormHuggingFace) {
		path = filepath.Join(o.Out, "model.safetensors")
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	sum, err := weights.SHA256(path)
	if err != nil {
		return err
	}
	if con.Options.JSON {
		return console.WriteJSON(con.Stdout, conversion{o.In, o.Out, o.To, info.Size(), sum})
	}
	return con.Printf("%s\t%s\t%s\n", console.Visible(o.Out), o.To, console.Size(info.Size()))
}
