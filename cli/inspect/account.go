package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"captioner/cli/console"
	"captioner/data/tokenizer"
	"captioner/models/captioner/demo"
	"captioner/models/checkpoint"
	"captioner/models/clipdecoder10"
	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/pickle"
	"captioner/weights/plural"
	"captioner/weights/store"
)

// account is what a file is, in people's words.
type account struct {
	What      string `json:"what"`
	Decoder   string `json:"decoder,omitempty"`
	Memory    string `json:"memory,omitempty"`
	Encoder   string `json:"encoder,omitempty"`
	Tokenizer string `json:"tokenizer,omitempty"`
	Types     string `json:"types"`
	Published string `json:"published,omitempty"` // the name of a published file with these bytes

	// The encoder that the file names and leaves out, for --encoder; "unknown" where it names none.
	EncoderMissing string `json:"encoder_missing,omitempty"`
}

// lines are the parts of the account that there are, with their names.
func (a account) lines() [][2]string {
	all := [][2]string{{"what", a.What}, {"decoder", a.Decoder}, {"memory", a.Memory}, {"encoder", a.Encoder},
		{"tokenizer", a.Tokenizer}, {"types", a.Types}, {"published as", a.Published}}
	return slices.DeleteFunc(all, func(l [2]string) bool { return l[1] == "" })
}

// accountFor describes a file, or a folder; "" is the built-in model.
func accountFor(path string, src weights.Source, known *checkpoint.Architectures) account {
	a := account{What: container(path, src), Types: types(src)}
	if sum, err := weights.SHA256(weightsFile(path)); err == nil {
		if e, _, ok := store.Identify(sum); ok {
			a.Published = e.Name
		}
	}
	f, err := OpenDescribed(path, known)
	if err == nil {
		a.captioner(f)
		f.Close()
		return a
	}
	var headless *encoder.HeadsUnknownError
	if e, eerr := known.OpenEncoder(path); eerr == nil {
		a.Encoder = e.Config.Architecture + ", for --encoder"
		e.Close()
	} else if errors.As(eerr, &headless) {
		a.Encoder = fmt.Sprintf("of width %d, for --encoder; how many heads it has, no weight says: --heads N gives them",
			headless.Width)
	} else if meantAsModel(src) {
		a.What += "; not usable with --model: " + console.OneLine(err)
	}
	return a
}

func (a *account) captioner(f *checkpoint.Checkpoint) {
	c := f.Config
	a.Decoder = decoder(f)
	places, width := c.Memory.Shape()
	a.Memory = fmt.Sprintf("%s, %d × %s an image", c.Memory.Kind, places, plural.Count(width, "number"))
	switch vision := c.Encoder.Architecture; {
	case f.HasEncoder():
		a.Encoder = vision + ", in the file"
	case f.Mismatch() != nil:
		a.Encoder = "not in the file, which names one that cannot be its own: --encoder gives it"
		a.EncoderMissing = "unknown"
	case vision == "":
		a.Encoder = "not in the file, which does not name it: --encoder gives it"
		a.EncoderMissing = "unknown"
	default:
		a.Encoder = "wants " + vision + ", not in the file: --encoder gives it"
		a.EncoderMissing = vision
		if c.Encoder.SHA256 != "" {
			a.Encoder += " (SHA-256 " + c.Encoder.SHA256 + ")"
		}
	}
	a.Tokenizer = tokenizerKind(f.Tokenizer)
}

// decoder says what writes the captions.
func decoder(f *checkpoint.Checkpoint) string {
	if net, ok := crossgpt2.Sizes(f.Config); ok {
		text := fmt.Sprintf("GPT-2 of %s, width %d, %s, with cross-attention", plural.Count(net.Layers, "layer"), net.Width,
			plural.Count(net.VocabSize, "token"))
		if name := net.PublishedName(); name != "" {
			return name + ": " + text
		}
		return text
	}
	if t, ok := f.Config.Decoder.(clipdecoder10.Config); ok {
		return fmt.Sprintf("a transformer of %s, width %d, %s", plural.Count(t.Layers, "layer"), t.Width,
			plural.Count(t.VocabSize, "word"))
	}
	vocabulary, _, width := f.Config.Decoder.Sizes()
	return fmt.Sprintf("%s of width %d, %s", f.Family, width, plural.Count(vocabulary, "token"))
}

// tokenizerKind says how text becomes tokens.
func tokenizerKind(t tokenizer.Codec) string {
	bpe, ok := t.(*tokenizer.Tokenizer)
	switch {
	case !ok:
		return fmt.Sprintf("WordPiece of %s", plural.Count(t.VocabSize(), "token"))
	case bpe.Words():
		return fmt.Sprintf("%d whole words", t.VocabSize())
	case bpe.Options().Lowercase:
		return fmt.Sprintf("byte-level BPE of %s, lower case", plural.Count(t.VocabSize(), "token"))
	}
	return fmt.Sprintf("byte-level BPE of %s", plural.Count(t.VocabSize(), "token"))
}

// container says what kind of file it is.
func container(path string, src weights.Source) string {
	p, pickled := src.(*pickle.File)
	switch {
	case path == "":
		return fmt.Sprintf("the built-in model, a captioner in captioner's own form (%s)",
			console.Size(int64(len(demo.Model))))
	case weightsFile(path) != path:
		return "a folder as Hugging Face has it"
	case pickled:
		return pickledObject(p)
	case src.Metadata()[weights.MetaConfig] != "":
		return "a captioner in captioner's own form"
	case src.Metadata()["format"] == "pt":
		return "tensors of PyTorch"
	}
	return "tensors"
}

// pickledObject says what Python would get from a file.
func pickledObject(p *pickle.File) string {
	switch root := p.Root.(type) {
	case *pickle.Record:
		switch {
		case strings.HasPrefix(root.Module, "__torch__"):
			return "a TorchScript archive, whose code is not run"
		case strings.HasPrefix(root.Module, "clip_text_decoder"):
			return fmt.Sprintf("a pickled %s of clip-text-decoder", root.Name)
		}
		return fmt.Sprintf("a pickled %s.%s", root.Module, root.Name)
	case *pickle.Dict:
		if _, ok := root.Get("tokenizer"); ok {
			return "a ClipDecoder with its tokenizer, as clip-text-decoder 1.0.0 saves them"
		}
		version, ok := root.Get("pytorch-lightning_version")
		if !ok {
			return "a dict of tensors (a state dict, or one that holds some)"
		}
		what := fmt.Sprintf("a checkpoint of Lightning %v", version)
		for _, key := range []string{"epoch", "global_step"} {
			if n, ok := root.Get(key); ok {
				what += fmt.Sprintf(", %s %v", strings.ReplaceAll(key, "_", " "), n)
			}
		}
		if states, ok := root.Get("optimizer_states"); ok {
			if l, ok := states.(*pickle.List); ok && len(l.Items) > 0 {
				what += ", with the optimizer's state"
			}
		}
		return what
	case *pickle.Tensor:
		return "one tensor"
	}
	return "a pickle"
}

// types counts the tensors by type.
func types(src weights.Source) string {
	count := make(map[weights.DType]int)
	var order []weights.DType
	for _, name := range src.Names() {
		t, err := src.Tensor(name)
		if err != nil {
			continue // the list of tensors says why
		}
		if count[t.DType]++; count[t.DType] == 1 {
			order = append(order, t.DType)
		}
	}
	slices.SortFunc(order, func(a, b weights.DType) int { return count[b] - count[a] })
	var parts []string
	for _, d := range order {
		parts = append(parts, fmt.Sprintf("%d %v", count[d], d))
	}
	return strings.Join(parts, ", ")
}
