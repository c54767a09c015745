package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// Parse is Open over bytes in memory, which must not change while anything loaded from them is in use.
func (a Architectures) Parse(b []byte) (*Checkpoint, error) {
	src, err := safetensors.Parse(b)
	if err != nil {
		return nil, &Error{Doing: "open embedded model", Err: err, named: true}
	}
	c, err := a.native("", src)
	if err != nil {
		return nil, &Error{Doing: "open embedded model", Err: err, named: true}
	}
	c.raw = b
	return c, nil
}

// native describes captioner's own model file.
func (a Architectures) native(path string, src weights.Source) (*Checkpoint, error) {
	c := &Checkpoint{Path: path, src: src}
	meta := src.Metadata()
	text, ok := meta[weights.MetaConfig]
	if !ok {
		return nil, ErrNotCaptioner
	}
	if err := a.parseConfig([]byte(text), &c.Config); err != nil {
		return nil, fmt.Errorf("read %s: %w", weights.MetaConfig, err)
	}
	if err := c.Config.Validate(); err != nil {
		return nil, fmt.Errorf("read %s: %w", weights.MetaConfig, oneLine(err))
	}
	c.Family = a.name(c.Config.Decoder)
	if text, ok := meta[weights.MetaCard]; ok {
		if err := json.Unmarshal([]byte(text), &c.Card); err != nil {
			return nil, fmt.Errorf("read %s: %w", weights.MetaCard, err)
		}
	}
	t, err := tokenizer.Read([]byte(meta[weights.MetaTokenizer]))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", weights.MetaTokenizer, err)
	}
	if vocabulary, _, _ := c.Config.Decoder.Sizes(); int64(t.VocabSize()) > vocabulary {
		const found = "read %s: found %d tokens, want at most the decoder's %d"
		return nil, fmt.Errorf(found, weights.MetaTokenizer, t.VocabSize(), vocabulary)
	}
	c.Tokenizer = t
	return c, nil
}

// parseConfig reads a captioner's description.
func (a Architectures) parseConfig(b []byte, c *family.Config) error {
	if err := json.Unmarshal(b, c); err != nil {
		return err
	}
	return c.Resolve(a.Captioners, a.Encoders)
}

// metadata is that of a model file.
func metadata(c family.Config, t tokenizer.Codec, card family.Card) (map[string]string, error) {
	meta := map[string]string{}
	for key, v := range map[string]any{weights.MetaConfig: c, weights.MetaCard: card} {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		meta[key] = string(b)
	}
	text, err := t.JSON()
	meta[weights.MetaTokenizer] = string(text)
	return meta, err
}

// Save writes a model file: the learner's tensors (matrices in float16) and the encoder's as they are given. Without
// any, the file leaves its encoder out and names it by its SHA-256. It works inside torch.Do.
func Save(
	path string, c family.Config, t tokenizer.Codec, card family.Card, m family.Learner,
	vision []weights.NamedTensor,
) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("save model %q: %w", path, oneLine(err))
	}
	if len(vision) == 0 && c.Encoder.SHA256 == "" {
		return fmt.Errorf(
			"save model %q: found neither the encoder's weights nor their SHA-256, want one of them",
			path,
		)
	}
	tensors := append([]weights.NamedTensor(nil), vision...)
	for _, n := range nn.Save(m.Module(), "") {
		n, err := encoder.Compact(n)
		if err != nil {
			return fmt.Errorf("save model %q: %w", path, err)
		}
		tensors = append(tensors, n)
	}
	return Write(path, c, t, card, tensors)
}

// Write writes a model file of tensors that have its names.
func Write(
	path string, c family.Config, t tokenizer.Codec, card family.Card, tensors []weights.NamedTensor,
) error {
	meta, err := metadata(c, t, card)
	if err != nil {
		return fmt.Errorf("save model %q: %w", path, err)
	}
	return safetensors.WriteFile(path, tensors, meta)
}

// describedFile names a captioner's description in a folder that this program wrote (see Checkpoint.Export).
const describedFile = "captioner.json"

// described describes a folder that this program wrote: the decoder as Hugging Face has it, memory and encoder beside
// it.
func (a Architectures) described(f family.Files) (*Checkpoint, error) {
	var d struct {
		Config json.RawMessage `json:"captioner.config"`
		Card   family.Card     `json:"captioner.card"`
	}
	if err := encoder.ReadJSON(f.Beside, describedFile, &d); err != nil {
		return nil, err
	}
	var c family.Captioner
	if err := a.parseConfig(d.Config, &c.Config); err != nil {
		return nil, fmt.Errorf("read %s: %w", describedFile, err)
	}
	if err := c.Config.ValidateDecoder(); err != nil {
		return nil, fmt.Errorf("read %s: %w", describedFile, oneLine(err))
	}
	if err := takeGPT2(&c, f); err != nil {
		return nil, err
	}
	sources := []weights.Source{c.Source}
	for _, prefix := range []string{family.MemoryPrefix, encoder.Prefix} {
		src, err := openPart(filepath.Join(f.Path, strings.TrimSuffix(prefix, ".")+".safetensors"), prefix)
		if err != nil {
			return nil, errors.Join(err, closeAll(sources[1:]))
		}
		if src != nil {
			sources = append(sources, src)
		}
	}
	j, err := weights.Join(sources...)
	if err != nil {
		return nil, errors.Join(err, closeAll(sources[1:]))
	}
	return &Checkpoint{
		Path: f.Path, Config: c.Config, Card: d.Card, Tokenizer: c.Tokenizer, Family: a.name(c.Config.Decoder), src: j,
	}, nil
}
