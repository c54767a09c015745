package captioner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// encoder.Prefix begins the names of the encoder's tensors in a model file, decoderPrefix those of the decoder; others are the memory's.
const (
	decoderPrefix = "decoder."
)

// File is an opened model file: its description, and its tensors in a memory map. Close it after what was loaded from it is freed.
type File struct {
	Path      string // "" for the embedded model
	Config    Config
	Card      Card
	Tokenizer *tokenizer.Tokenizer
	SHA256    string // of the whole file; only after Checksum
	src       weights.Source
	eye       *Pretrained // given by UseEncoder
	misfit    error       // why the encoder that the file names cannot be its own, see wantEye
	raw       []byte      // the embedded model's bytes
}

// OpenFile reads the description of a model, by what the file holds and not by its name: a captioner's own model file, a checkpoint of the
// Python package clip-text-decoder and its kin (see openOriginal), or a folder of Hugging Face (see openFolder). Weights are read when they are loaded.
func OpenFile(path string) (*File, error) {
	src, err := OpenWeights(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	f, err := describeAny(path, src)
	if err != nil {
		src.Close()
		return nil, fmt.Errorf("open model %q: %w", path, err)
	}
	return f, nil
}

func describeAny(path string, src weights.Source) (*File, error) {
	if src.Metadata()[weights.MetaConfig] != "" {
		return describe(path, src)
	}
	if dir, ok := inFolder(path); ok {
		return openFolder(dir, src)
	}
	return openOriginal(path, src)
}

// ParseFile is OpenFile over bytes in memory, which must not change while anything loaded from them is in use.
func ParseFile(b []byte) (*File, error) {
	src, err := safetensors.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("open embedded model: %w", err)
	}
	f, err := describe("", src)
	if err != nil {
		return nil, fmt.Errorf("open embedded model: %w", err)
	}
	f.raw = b
	return f, nil
}

// ErrNotCaptioner says that a file holds tensors but no captioner.
var ErrNotCaptioner = errors.New("found tensors but no " + weights.MetaConfig + " in the metadata, want a captioner's model file")

func describe(path string, src weights.Source) (*File, error) {
	f := &File{Path: path, src: src}
	meta := src.Metadata()
	text, ok := meta[weights.MetaConfig]
	if !ok {
		return nil, ErrNotCaptioner
	}
	if err := json.Unmarshal([]byte(text), &f.Config); err != nil {
		return nil, fmt.Errorf("read %s: %w", weights.MetaConfig, err)
	}
	if err := encoders.Resolve(&f.Config.Encoder); err != nil {
		return nil, fmt.Errorf("read %s: %w", weights.MetaConfig, err)
	}
	if t := f.Config.Transformer; t != nil {
		f.Config.Decoder = firstSizes(*t)
	}
	if err := f.Config.Validate(); err != nil {
		return nil, fmt.Errorf("read %s: %w", weights.MetaConfig, oneLine(err))
	}
	if text, ok := meta[weights.MetaCard]; ok {
		if err := json.Unmarshal([]byte(text), &f.Card); err != nil {
			return nil, fmt.Errorf("read %s: %w", weights.MetaCard, err)
		}
	}
	tok, err := tokenizer.Parse([]byte(meta[weights.MetaTokenizer]))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", weights.MetaTokenizer, err)
	}
	if got, want := int64(tok.VocabSize()), f.Config.Decoder.VocabSize; got != want {
		return nil, fmt.Errorf("read %s: found %d tokens, want the decoder's %d", weights.MetaTokenizer, got, want)
	}
	f.Tokenizer = tok
	return f, nil
}

// oneLine joins what errors.Join put on lines.
func oneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// Checksum reads the whole file once and sets SHA256, in hexadecimal.
func (f *File) Checksum() (string, error) {
	if f.SHA256 != "" {
		return f.SHA256, nil
	}
	if f.Path == "" {
		sum := sha256.Sum256(f.raw)
		f.SHA256 = hex.EncodeToString(sum[:])
		return f.SHA256, nil
	}
	sum, err := checksum(f.Path)
	if err != nil {
		return "", fmt.Errorf("checksum of model %q: %w", f.Path, err)
	}
	f.SHA256 = sum
	return sum, nil
}

// checksum is the SHA-256 of a file, or of the weights of a folder one after the other.
func checksum(path string) (string, error) {
	h := sha256.New()
	files := []string{path}
	if dir, ok := inFolder(path); ok {
		files = nil
		for _, pattern := range []string{"*.safetensors", "*.bin"} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return "", err
			}
			files = append(files, found...)
		}
	}
	for _, file := range files {
		if err := hashFile(h, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashFile(h io.Writer, path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(h, r)
	return err
}

// Close releases the memory maps.
func (f *File) Close() error {
	err := f.src.Close()
	if f.eye != nil {
		err = errors.Join(err, f.eye.Close())
	}
	return err
}

// LoadModel loads memory and decoder in float32; own gives them memory that training may change. It works inside torch.Do.
func (f *File) LoadModel(dev torch.Device, own bool) (*Model, error) {
	if f.First() {
		return nil, fmt.Errorf("load model %q: %w", f.Path, ErrFirst)
	}
	m, err := f.newModel()
	if err != nil {
		return nil, err
	}
	o := nn.LoadOptions{Device: dev, Own: own, Ignore: isEncoder}
	if err := nn.Load(m, f.src, o); err != nil {
		m.Free()
		return nil, fmt.Errorf("load model %q: %w", f.Path, err)
	}
	return m, nil
}

// newModel makes a model with unset weights. Where the file's description tells other sizes than its weights have, it takes no memory for them.
func (f *File) newModel() (*Model, error) {
	own, err := weights.Rename(f.src, weights.Prefix(decoderPrefix, ""))
	if err != nil {
		return nil, err
	}
	if seen, err := gpt2.ConfigOf(own); err == nil { // what is missing is told by the load
		for _, size := range []struct {
			name       string
			told, have int64
		}{{"layers", int64(f.Config.Decoder.Layers), int64(seen.Layers)}, {"channels", f.Config.Decoder.Width, seen.Width}, {"tokens", f.Config.Decoder.VocabSize, seen.VocabSize},
			{"positions", f.Config.Decoder.Positions, seen.Positions}, {"channels inside a block", f.Config.Decoder.InnerWidth(), seen.InnerWidth()}} {
			if size.told != size.have {
				return nil, fmt.Errorf("load model %q: found a description of %d %s, want the %d of the weights", f.Path, size.told, size.name, size.have)
			}
		}
	}
	return NewModel(f.Config)
}

// loadForInference is LoadModel for a decoder that is about to be prepared in another layout: its weights stay in the type and, on a CPU, in the
// memory of the file, so that no whole copy of them is made on the way.
func (f *File) loadForInference(dev torch.Device) (*Model, error) {
	m, err := f.newModel()
	if err != nil {
		return nil, err
	}
	o := nn.LoadOptions{Device: dev, Ignore: isEncoder, Stored: func(n string) bool { return strings.HasPrefix(n, decoderPrefix) }}
	if err := nn.Load(m, f.src, o); err != nil {
		m.Free()
		return nil, fmt.Errorf("load model %q: %w", f.Path, err)
	}
	return m, nil
}

func isEncoder(name string) bool { return strings.HasPrefix(name, encoder.Prefix) }

// LoadEncoder loads the encoder and prepares it for inference in type d. It works inside torch.Do.
func (f *File) LoadEncoder(dev torch.Device, d torch.DType) (*encoder.Runner, error) {
	path, src := f.Path, f.src
	if f.eye != nil {
		path, src = f.eye.Path, f.eye.src
	} else if !f.HasEncoder() {
		return nil, f.missingEncoder()
	}
	e, err := encoder.NewRunner(f.Config.Encoder, f.Config.Memory, src, dev, d)
	if err != nil {
		return nil, fmt.Errorf("load encoder from %q: %w", path, err)
	}
	return e, nil
}

// HasEncoder says whether the encoder's weights are in the file, or were given by UseEncoder.
func (f *File) HasEncoder() bool {
	return f.eye != nil || slices.ContainsFunc(f.src.Names(), func(n string) bool { return strings.HasPrefix(n, encoder.Prefix) })
}

// First says whether the captioner is one of clip-text-decoder 1.0.0, whose decoder is not GPT-2.
func (f *File) First() bool { return f.Config.Transformer != nil }

// Misfit says why the encoder that the file names cannot be the one that it was trained with; nil where it can, or where the file names none.
func (f *File) Misfit() error { return f.misfit }

// UseEncoder gives the file an encoder in the place of its own, or of the one that it leaves out. f owns p from then on.
func (f *File) UseEncoder(p *Pretrained) error {
	want := f.Config.Encoder
	if want.SHA256 != "" && !f.HasEncoder() {
		sum, err := p.Checksum()
		if err != nil {
			return err
		}
		if sum != want.SHA256 {
			return fmt.Errorf("encoder %q: found SHA-256 %s, want the %s of %s, which the model was trained with", p.Path, sum, want.SHA256,
				want.Architecture)
		}
	}
	if want.Architecture == "" { // a checkpoint that does not name its encoder
		f.Config.Encoder = p.Config
		return f.anyEye(p)
	}
	if err := f.Config.Memory.Fits(p.Config); err != nil {
		return fmt.Errorf("encoder %q (%s) does not fit the model, which wants %s: %w", p.Path, p.Config.Architecture, want.Architecture, err)
	}
	f.eye, f.Config.Encoder = p, p.Config
	if want.Architecture == p.Config.Architecture {
		f.Config.Encoder.Preprocess = want.Preprocess
	}
	return nil
}

// anyEye takes an encoder that the model says nothing about.
func (f *File) anyEye(p *Pretrained) error {
	m, err := encoder.NewMemory(p.Config, f.Config.Memory.Kind, 0)
	if err == nil {
		f.Config.Memory = m
		err = f.Config.validateModel()
	}
	if err != nil {
		return fmt.Errorf("encoder %q: %w", p.Path, oneLine(err))
	}
	f.eye = p
	return nil
}

// An EncoderMissingError says that a model file leaves its encoder out, and which it is.
type EncoderMissingError struct {
	Path         string // of the model
	Architecture string
	SHA256       string // "" where the file does not say
	Misfit       error  // why the encoder that the file names cannot be its own; nil where it can
}

func (e *EncoderMissingError) Error() string {
	if e.Misfit != nil {
		return fmt.Sprintf("model %q holds no encoder, and names one that cannot be its own: %v", e.Path, oneLine(e.Misfit))
	}
	which := e.Architecture
	if which == "" {
		which = "the one that it was trained with"
	}
	if e.SHA256 != "" {
		which += ", SHA-256 " + e.SHA256
	}
	return fmt.Sprintf("model %q holds no encoder, want %s beside it", e.Path, which)
}

func (f *File) missingEncoder() error {
	return &EncoderMissingError{f.Path, f.Config.Encoder.Architecture, f.Config.Encoder.SHA256, f.misfit}
}

// EncoderTensors are copies of the encoder's tensors, as Save takes them; none where the file leaves the encoder out.
func (f *File) EncoderTensors() ([]weights.NamedTensor, error) {
	if f.eye != nil {
		return f.eye.Tensors()
	}
	tensors, err := take(f.src, encoder.Prefix)
	for i := range tensors {
		tensors[i].Data, tensors[i].Held = slices.Clone(tensors[i].Data), false
	}
	return tensors, err
}

func take(src weights.Source, prefix string) ([]weights.NamedTensor, error) {
	var out []weights.NamedTensor
	for _, n := range src.Names() {
		if strings.HasPrefix(n, prefix) {
			t, err := src.Tensor(n)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// Save writes a model file: the model's tensors (matrices in float16) and the encoder's as they are given. Without any, the file leaves its
// encoder out and names it by its SHA-256. It works inside torch.Do.
func Save(path string, c Config, t *tokenizer.Tokenizer, card Card, m *Model, eye []weights.NamedTensor) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("save model %q: %w", path, oneLine(err))
	}
	if len(eye) == 0 && c.Encoder.SHA256 == "" {
		return fmt.Errorf("save model %q: found neither the encoder's weights nor their SHA-256, want one of them", path)
	}
	meta, err := describing(c, t, card)
	if err != nil {
		return fmt.Errorf("save model %q: %w", path, err)
	}
	tensors := append([]weights.NamedTensor(nil), eye...)
	for _, n := range nn.Save(m, "") {
		n, err := encoder.Compact(n)
		if err != nil {
			return fmt.Errorf("save model %q: %w", path, err)
		}
		tensors = append(tensors, n)
	}
	return safetensors.WriteFile(path, tensors, meta)
}

// describing is the metadata of a model file.
func describing(c Config, t *tokenizer.Tokenizer, card Card) (map[string]string, error) {
	meta := map[string]string{}
	for key, v := range map[string]any{weights.MetaConfig: c, weights.MetaCard: card} {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		meta[key] = string(b)
	}
	words, err := t.JSON()
	meta[weights.MetaTokenizer] = string(words)
	return meta, err
}
