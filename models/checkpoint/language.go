package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/formats"
)

// Language is a GPT-2 for a decoder to start from. Close it after Fill.
type Language struct {
	Config    gpt2.Config // with cross-attention, also where the file has none
	Tokenizer *tokenizer.Tokenizer
	path      string
	src       weights.Source
}

// OpenLanguage opens GPT-2's weights: a file of Hugging Face's or with its keys below any prefix, or a folder as
// Hugging Face saves one, with config.json and the tokenizer's files. A file without them has GPT-2's own words, and
// heads of 64 channels.
func OpenLanguage(path string) (*Language, error) {
	l, err := openLanguage(path)
	if err != nil {
		return nil, fmt.Errorf("open language model %q: %w", path, err)
	}
	return l, nil
}

func openLanguage(path string) (*Language, error) {
	if err := foreignPath(path); err != nil {
		return nil, err
	}
	src, err := formats.Open(path)
	if err != nil {
		return nil, err
	}
	if err := foreign(filesOf(path, src)); err != nil {
		src.Close()
		return nil, err
	}
	l := &Language{path: path}
	if l.src, err = gpt2.Keys(src); err != nil {
		src.Close()
		return nil, err
	}
	if err = l.read(path); err != nil {
		l.Close()
		return nil, err
	}
	l.Config.CrossAttention = true
	return l, nil
}

// read settles the sizes and the tokenizer.
func (l *Language) read(path string) error {
	files := filesOf(path, l.src)
	if _, err := files.Beside.Read("config.json"); err == nil && files.Folder {
		return l.readFolder(files.Beside)
	}
	config, headless, err := completeConfig(files, l.src, nil)
	if err != nil {
		return err
	}
	if headless != nil {
		return headless
	}
	l.Config = *config
	if files.Folder {
		l.Tokenizer, err = folderTokenizer(files.Beside, l.Config.VocabSize)
		return err
	}
	l.Tokenizer, err = gpt2Tokenizer(l.Config.VocabSize)
	return err
}

// readFolder reads what stands beside the weights.
func (l *Language) readFolder(beside encoder.Folder) error {
	b, err := beside.Read("config.json")
	if err == nil {
		l.Config, err = gpt2.ParseConfig(b)
	}
	if err != nil {
		return err
	}
	l.Tokenizer, err = folderTokenizer(beside, l.Config.VocabSize)
	return err
}

// Fill copies the weights into a decoder of l's Config. Of cross-attention that the file has none of, it leaves what is
// there.
func (l *Language) Fill(m *gpt2.Model) error {
	if err := gpt2.CheckTied(l.src, ""); err != nil {
		return fmt.Errorf("load language model %q: %w", l.path, err)
	}
	var bad weights.KeyError
	for _, p := range nn.State(m) {
		t, err := l.src.Tensor(p.Name)
		switch {
		case err != nil && (strings.Contains(p.Name, ".crossattention.") || strings.Contains(p.Name, ".ln_cross_attn.")):
			continue
		case err != nil:
			bad.Missing = append(bad.Missing, p.Name)
			continue
		}
		if want := p.Tensor.Shape(); !slices.Equal(t.Shape, want) {
			bad.Misshaped = append(bad.Misshaped, weights.ShapeMismatch{Name: p.Name, Got: t.Shape, Want: want})
			continue
		}
		torch.NoGrad(func() { torch.Scoped(func() { p.Tensor.Copy(torch.FromNamed(t, false)) }) })
	}
	if len(bad.Missing)+len(bad.Misshaped) > 0 {
		return fmt.Errorf("load language model %q: %w", l.path, &bad)
	}
	return nil
}

// Close releases the memory map.
func (l *Language) Close() error { return l.src.Close() }
