package captioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"captioner/models/encoder"
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
	// Masks adds the constant masks of attention to the forms of clip-text-decoder. transformers before 4.27, which LAVIS pins, wants them in a
	// state dict; later versions refuse them.
	Masks bool
	// Origin is where the captioner comes from, for the card of captioner's own form: "converted from model.pt, SHA-256 …".
	Origin string
}

// Export writes a captioner at path in the given form. The path holds either what it held before or all of the new content; when the context
// ends, nothing is left behind. It needs no torch.Do.
func (f *File) Export(ctx context.Context, path string, form Form, o ExportOptions) error {
	err := func() error {
		if f.First() && form != FormCaptioner {
			return &FormError{ErrFirst, "--to captioner writes it as one file, in a form of captioner's own"}
		}
		switch form {
		case FormCaptioner:
			return f.exportCaptioner(ctx, path, o)
		case FormLightning:
			return f.exportLightning(ctx, path, o)
		case FormStateDict:
			tensors, err := f.pythonDecoder(o)
			if err != nil {
				return err
			}
			return writePickle(ctx, path, tensors)
		case FormHuggingFace:
			return f.exportHuggingFace(ctx, path, o)
		}
		return fmt.Errorf("found form %q, want one of %q", form, Forms)
	}()
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// wantOwnEye refuses a checkpoint whose encoder cannot be the one that it names, where none was given.
func (f *File) wantOwnEye(remedy string) error {
	if f.misfit == nil || f.eye != nil {
		return nil
	}
	return &FormError{fmt.Errorf("the checkpoint names an encoder that cannot be its own: %w", oneLine(f.misfit)), remedy}
}

// exportCaptioner writes captioner's own form. The encoder is in it if the file has one, or was given one.
func (f *File) exportCaptioner(ctx context.Context, path string, o ExportOptions) error {
	if err := f.wantOwnEye("--encoder FILE gives the encoder that it was trained with"); err != nil {
		return err
	}
	if f.Config.Encoder.Architecture == "" {
		return &FormError{errors.New("found no name of the encoder in the checkpoint, want one"), "--encoder FILE gives the encoder that it was trained with"}
	}
	if err := f.Config.Validate(); err != nil {
		return oneLine(err)
	}
	tensors, err := f.modelTensors(o)
	if err != nil {
		return err
	}
	own := f.src
	if f.eye != nil {
		own = f.eye.src
	}
	eye, err := take(own, encoder.Prefix)
	if err != nil {
		return err
	}
	if eye, err = o.convert(eye); err != nil {
		return err
	}
	card := f.Card
	if o.Origin != "" {
		card.Origin = o.Origin
	}
	meta := map[string]string{}
	for key, v := range map[string]any{weights.MetaConfig: f.Config, weights.MetaCard: card} {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		meta[key] = string(b)
	}
	words, err := f.Tokenizer.JSON()
	if err != nil {
		return err
	}
	meta[weights.MetaTokenizer] = string(words)
	return writeSafetensors(ctx, path, append(eye, tensors...), meta)
}

// modelTensors are those of memory and decoder.
func (f *File) modelTensors(o ExportOptions) ([]weights.NamedTensor, error) {
	var tensors []weights.NamedTensor
	for _, n := range f.src.Names() {
		if strings.HasPrefix(n, encoder.Prefix) {
			continue
		}
		t, err := f.src.Tensor(n)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, t)
	}
	return o.convert(tensors)
}

// gpt2Tensors are those of the decoder, in the keys of GPT2LMHeadModel and without the tied head.
func (f *File) gpt2Tensors(o ExportOptions) ([]weights.NamedTensor, error) {
	tensors, err := take(f.src, decoderPrefix)
	if err != nil {
		return nil, err
	}
	for i := range tensors {
		tensors[i].Name = strings.TrimPrefix(tensors[i].Name, decoderPrefix)
	}
	return o.convert(tensors)
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
