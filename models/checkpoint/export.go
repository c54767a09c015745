package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/weights"
	"captioner/weights/atomicfile"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// Form is a layout in which a captioner is written.
type Form string

// The forms of Export.
const (
	FormCaptioner   Form = "captioner"   // one .safetensors file: captioner's own
	FormLightning   Form = "lightning"   // .ckpt: Decoder.load_from_checkpoint of clip-text-decoder 1.4 takes it
	FormStateDict   Form = "state-dict"  // .pt: Decoder.load_state_dict takes it
	FormHuggingFace Form = "huggingface" // a folder: GPT2LMHeadModel.from_pretrained takes it
)

// Forms are all of them, for messages and flags.
var Forms = []Form{FormCaptioner, FormLightning, FormStateDict, FormHuggingFace}

// FormOf chooses a form by the name of a file; a name without an extension, or with a slash behind it, is a folder.
func FormOf(path string) (Form, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".safetensors":
		return FormCaptioner, nil
	case ".ckpt":
		return FormLightning, nil
	case ".pt", ".pth", ".bin":
		return FormStateDict, nil
	case "":
		return FormHuggingFace, nil
	default:
		return "", fmt.Errorf("found the extension %q, want .safetensors, .ckpt, .pt, or a folder", ext)
	}
}

// ExportOptions say how a captioner is written. The zero value keeps each tensor's type.
type ExportOptions struct {
	DType *weights.DType // of all tensors; nil keeps the type of each
	// Masks adds the constant masks of attention to the forms of clip-text-decoder. transformers before 4.27, which LAVIS
	// pins, wants them in a state dict; later versions refuse them.
	Masks bool
	// Origin is where the captioner comes from, for the card of captioner's own form: "converted from model.pt, SHA-256
	// …".
	Origin string
}

// Export writes a captioner at path in the given form. The path holds either what it held before or all of the new
// content; when the context ends, nothing is left behind. It needs no torch.Do.
func (c *Checkpoint) Export(ctx context.Context, path string, form Form, o ExportOptions) error {
	net, _ := crossgpt2.Sizes(c.Config)
	if err := (exporter{c, ctx, o, net}).write(path, form); err != nil {
		return &weights.FileError{Doing: "write", File: path, Err: err}
	}
	return nil
}

// exporter writes one captioner.
type exporter struct {
	*Checkpoint
	ctx context.Context
	o   ExportOptions
	net gpt2.Config // the decoder, in the forms that are for GPT-2 alone
}

func (e exporter) write(path string, form Form) error {
	if err := e.wants(form); err != nil {
		return err
	}
	switch form {
	case FormCaptioner:
		return e.exportCaptioner(path)
	case FormLightning:
		return e.exportLightning(path)
	case FormStateDict:
		tensors, err := e.pythonDecoder()
		if err != nil {
			return err
		}
		return writePickle(e.ctx, path, tensors)
	case FormHuggingFace:
		return e.exportHuggingFace(path)
	}
	return fmt.Errorf("found form %q, want one of %q", form, Forms)
}

// wants refuses a captioner of a family that a form is not for.
func (e exporter) wants(form Form) error {
	_, gpt := e.Config.Decoder.(crossgpt2.Decoder)
	_, class := e.Config.Decoder.(family.Foldered)
	if gpt || form == FormCaptioner || class && form == FormHuggingFace {
		return nil
	}
	return &FormError{
		fmt.Errorf("found a model of %s, whose decoder is not GPT-2, want one with GPT-2", e.Family),
		"--to captioner writes it as one file, in a form of captioner's own",
	}
}

// wantOwnEncoder refuses a checkpoint whose encoder cannot be the one that it names, where none was given.
func (e exporter) wantOwnEncoder(remedy string) error {
	if e.mismatch == nil || e.given != nil {
		return nil
	}
	return &FormError{
		fmt.Errorf("the checkpoint names an encoder that cannot be its own: %w", oneLine(e.mismatch)),
		remedy,
	}
}

// exportCaptioner writes captioner's own form. The encoder is in it if the file has one, or was given one.
func (e exporter) exportCaptioner(path string) error {
	if err := e.wantOwnEncoder("--encoder FILE gives the encoder that it was trained with"); err != nil {
		return err
	}
	if e.Config.Encoder.Architecture == "" {
		return &FormError{
			errors.New("found no name of the encoder in the checkpoint, want one"),
			"--encoder FILE gives the encoder that it was trained with",
		}
	}
	if err := e.Config.Validate(); err != nil {
		return oneLine(err)
	}
	tensors, err := e.modelTensors()
	if err != nil {
		return err
	}
	own := e.encoderSource()
	vision, err := take(own, encoder.Prefix)
	if err != nil {
		return err
	}
	if vision, err = e.o.convert(vision); err != nil {
		return err
	}
	meta, err := metadata(e.Config, e.Tokenizer, e.card())
	if err != nil {
		return err
	}
	return writeSafetensors(e.ctx, path, append(vision, tensors...), meta)
}

// modelTensors are those of memory and decoder.
func (e exporter) modelTensors() ([]weights.NamedTensor, error) {
	var tensors []weights.NamedTensor
	for _, n := range e.src.Names() {
		if strings.HasPrefix(n, encoder.Prefix) {
			continue
		}
		t, err := e.src.Tensor(n)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, t)
	}
	return e.o.convert(tensors)
}

// gpt2Tensors are those of the decoder, in the keys of GPT2LMHeadModel and without the tied head.
func (e exporter) gpt2Tensors() ([]weights.NamedTensor, error) {
	tensors, err := take(e.src, family.DecoderPrefix)
	if err != nil {
		return nil, err
	}
	for i := range tensors {
		tensors[i].Name = strings.TrimPrefix(tensors[i].Name, family.DecoderPrefix)
	}
	return e.o.convert(tensors)
}

func (o ExportOptions) convert(tensors []weights.NamedTensor) ([]weights.NamedTensor, error) {
	if o.DType == nil {
		return tensors, nil
	}
	for i, t := range tensors {
		if !t.DType.Float() {
			continue
		}
		var err error
		if tensors[i], err = t.Convert(*o.DType); err != nil {
			return nil, err
		}
	}
	return tensors, nil
}

// untilDone writes until its context ends.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u untilDone) Write(b []byte) (n int, err error) {
	const step = 1 << 20 // a tensor may be large
	for len(b) > 0 {
		if err := u.ctx.Err(); err != nil {
			return n, err
		}
		k, err := u.w.Write(b[:min(step, len(b))])
		n += k
		if err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}

func writeSafetensors(ctx context.Context, path string, tensors []weights.NamedTensor, meta map[string]string) error {
	return writeWhole(path, func(w io.Writer) error { return safetensors.Write(untilDone{ctx, w}, tensors, meta) })
}

func writePickle(ctx context.Context, path string, root any) error {
	return writeWhole(path, func(w io.Writer) error { return pickle.Write(untilDone{ctx, w}, root) })
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeBytes(path, append(b, '\n'))
}

func writeBytes(path string, b []byte) error {
	return writeWhole(path, func(w io.Writer) error { _, err := w.Write(b); return err })
}

// writeWhole is atomicfile.WriteFile, whose message names a path that the caller's names as well.
func writeWhole(path string, write func(io.Writer) error) error {
	err := atomicfile.WriteFile(path, write)
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
