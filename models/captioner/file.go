package captioner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/efficientnet"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// encoderPrefix begins the names of the encoder's tensors in a model file; all others are the Model's.
const encoderPrefix = "encoder."

// File is an opened model file: its description, and its tensors in a memory map. Close it after what was loaded from it is freed.
type File struct {
	Path      string // "" for the embedded model
	Config    Config
	Card      Card
	Tokenizer *tokenizer.Tokenizer
	SHA256    string // of the whole file; only after Checksum
	src       weights.Source
	raw       []byte // the embedded model's bytes
}

// OpenFile reads the description of the model file at path. Its weights are read when they are loaded.
func OpenFile(path string) (*File, error) {
	src, err := safetensors.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	f, err := describe(path, src)
	if err != nil {
		src.Close()
		return nil, fmt.Errorf("open model %q: %w", path, err)
	}
	return f, nil
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
	h := sha256.New()
	if f.Path == "" {
		h.Write(f.raw)
	} else if err := hashFile(h, f.Path); err != nil {
		return "", fmt.Errorf("checksum of model %q: %w", f.Path, err)
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return f.SHA256, nil
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

// Close releases the memory map.
func (f *File) Close() error { return f.src.Close() }

// LoadModel loads memory and decoder in float32; own gives them memory that training may change. It works inside torch.Do.
func (f *File) LoadModel(dev torch.Device, own bool) (*Model, error) {
	m, err := NewModel(f.Config)
	if err != nil {
		return nil, err
	}
	o := nn.LoadOptions{Device: dev, Own: own, Ignore: func(n string) bool { return strings.HasPrefix(n, encoderPrefix) }}
	if err := nn.Load(m, f.src, o); err != nil {
		m.Free()
		return nil, fmt.Errorf("load model %q: %w", f.Path, err)
	}
	return m, nil
}

// LoadEncoder loads the encoder and prepares it for inference in type d. It works inside torch.Do.
func (f *File) LoadEncoder(dev torch.Device, d torch.DType) (*Encoder, error) {
	e, err := LoadEncoder(f.Config.Encoder, f.src, dev, d)
	if err != nil {
		return nil, fmt.Errorf("load encoder from %q: %w", f.Path, err)
	}
	return e, nil
}

// EncoderTensors are the encoder's stored tensors, as Save takes them.
func (f *File) EncoderTensors() ([]weights.NamedTensor, error) { return take(f.src, encoderPrefix) }

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

// LoadEncoder prepares the encoder eye, stored in src under encoder.*, for inference in type d. It works inside torch.Do.
func LoadEncoder(eye Eye, src weights.Source, dev torch.Device, d torch.DType) (*Encoder, error) {
	net, err := efficientnet.New(eye.EfficientNet.WithoutHead())
	if err != nil {
		return nil, err
	}
	defer net.Free()
	if err := net.Load(src, nn.LoadOptions{Prefix: encoderPrefix, Device: dev, Ignore: notEncoder}); err != nil {
		return nil, err
	}
	return &Encoder{eye: eye, net: net.Encoder(d)}, nil
}

func notEncoder(name string) bool { return !strings.HasPrefix(name, encoderPrefix) }

// eyes are the encoders that training can start from, by name.
var eyes = map[string]func() efficientnet.Config{
	"efficientnet-lite0": efficientnet.Lite0, "efficientnet-lite1": efficientnet.Lite1, "efficientnet-lite2": efficientnet.Lite2,
	"efficientnet-lite3": efficientnet.Lite3, "efficientnet-lite4": efficientnet.Lite4,
}

// Pretrained is an encoder's checkpoint, read for training.
type Pretrained struct {
	Eye     Eye
	Tensors []weights.NamedTensor // as Save takes them: matrices in float16, vectors in float32
}

// ReadPretrained reads an encoder of a named architecture from a checkpoint (safetensors, or PyTorch's own form).
func ReadPretrained(architecture, path string) (*Pretrained, error) {
	shape, ok := eyes[architecture]
	if !ok {
		return nil, fmt.Errorf("read encoder: found architecture %q, want efficientnet-lite0 to efficientnet-lite4", architecture)
	}
	c := shape().WithoutHead()
	p := &Pretrained{Eye: Eye{Architecture: architecture, EfficientNet: &c}}
	p.Eye.Preprocess.Size, p.Eye.Preprocess.Fit = int(c.Resolution), "squash"
	for i := range 3 {
		p.Eye.Preprocess.Mean[i], p.Eye.Preprocess.Std[i] = efficientnet.Mean, efficientnet.Std
	}
	h := sha256.New()
	if err := hashFile(h, path); err != nil {
		return nil, fmt.Errorf("read encoder: %w", err)
	}
	p.Eye.SHA256 = hex.EncodeToString(h.Sum(nil))
	src, err := openAny(path)
	if err != nil {
		return nil, fmt.Errorf("read encoder: %w", err)
	}
	defer src.Close()
	for _, n := range src.Names() {
		if strings.HasSuffix(n, ".num_batches_tracked") || strings.HasPrefix(n, "_fc.") || strings.HasPrefix(n, "_conv_head.") ||
			strings.HasPrefix(n, "_bn1.") {
			continue
		}
		t, err := src.Tensor(n)
		if err != nil {
			return nil, fmt.Errorf("read encoder %q: %w", path, err)
		}
		if t, err = compact(t); err != nil {
			return nil, fmt.Errorf("read encoder %q: %w", path, err)
		}
		t.Name = encoderPrefix + n
		p.Tensors = append(p.Tensors, t)
	}
	return p, nil
}

// openAny opens a checkpoint by its content.
func openAny(path string) (weights.Source, error) {
	s, err := safetensors.Open(path)
	if err == nil {
		return s, nil
	}
	p, perr := pickle.Open(path)
	if perr != nil {
		return nil, fmt.Errorf("%q is neither: %w; %w", path, err, perr)
	}
	return p, nil
}

// compact stores matrices in float16 and leaves vectors (biases, norms, statistics) in float32, with memory of its own.
func compact(t weights.NamedTensor) (weights.NamedTensor, error) {
	d := weights.F32
	if len(t.Shape) >= 2 {
		d = weights.F16
	}
	c, err := t.Convert(d)
	c.Data = append([]byte(nil), c.Data...)
	return c, err
}

// Save writes a model file: the model's tensors (matrices in float16) and the encoder's as they are given. It works inside torch.Do.
func Save(path string, c Config, t *tokenizer.Tokenizer, card Card, m *Model, encoder []weights.NamedTensor) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("save model %q: %w", path, oneLine(err))
	}
	meta := map[string]string{}
	for key, v := range map[string]any{weights.MetaConfig: c, weights.MetaCard: card} {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("save model %q: %w", path, err)
		}
		meta[key] = string(b)
	}
	words, err := t.JSON()
	if err != nil {
		return fmt.Errorf("save model %q: %w", path, err)
	}
	meta[weights.MetaTokenizer] = string(words)
	tensors := append([]weights.NamedTensor(nil), encoder...)
	for _, n := range nn.Save(m, "") {
		n, err := compact(n)
		if err != nil {
			return fmt.Errorf("save model %q: %w", path, err)
		}
		tensors = append(tensors, n)
	}
	return safetensors.WriteFile(path, tensors, meta)
}
