package checkpoint

import (
	"fmt"

	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/formats"
)

// Pretrained is an encoder's checkpoint: its description, and its tensors in a memory map, named as in a model file.
// Close it after what was loaded from it is freed.
type Pretrained struct {
	Path   string
	Config encoder.Config // SHA256 is set by Checksum alone
	src    weights.Source
}

// OpenEncoder opens an encoder's checkpoint and finds out by its content what it is: a published checkpoint of an
// architecture (a file, or a folder with a config.json), or a captioner's model file, whose encoder is taken.
func (a Architectures) OpenEncoder(path string) (*Pretrained, error) {
	path = modelOf(path)
	if err := foreignPath(path); err != nil {
		return nil, &Error{Doing: "open encoder", Path: path, Encoder: true, Err: err}
	}
	src, err := formats.Open(path)
	if err != nil {
		return nil, &Error{Doing: "open encoder", Path: path, Encoder: true, Err: err, named: true}
	}
	p, err := a.recognize(path, src)
	if err != nil {
		src.Close()
		return nil, &Error{Doing: "open encoder", Path: path, Encoder: true, Err: err}
	}
	return p, nil
}

// recognize finds the architecture whose tensors src holds.
func (a Architectures) recognize(path string, src weights.Source) (*Pretrained, error) {
	if src.Metadata()[weights.MetaConfig] != "" {
		c, err := a.native(path, src)
		if err != nil {
			return nil, err
		}
		if !c.HasEncoder() {
			return nil, c.MissingEncoder()
		}
		if err := agree(a.Heads, encoder.EncoderPart, c.Config.Encoder.Encoder); err != nil {
			return nil, err
		}
		return &Pretrained{Path: path, Config: c.Config.Encoder, src: src}, nil
	}
	files := filesOf(path, src)
	if err := foreign(files); err != nil {
		return nil, err
	}
	e, named, err := a.Encoders.Open(src, files.Beside, files.Folder, a.Heads)
	if err != nil {
		return nil, err
	}
	return &Pretrained{Path: path, Config: e, src: named}, nil
}

// Checksum reads the whole file once and sets Config.SHA256, in hexadecimal.
func (p *Pretrained) Checksum() (string, error) {
	if p.Config.SHA256 != "" {
		return p.Config.SHA256, nil
	}
	sum, err := formats.SHA256(p.Path)
	if err != nil {
		return "", fmt.Errorf("checksum of encoder: %w", err)
	}
	p.Config.SHA256 = sum
	return sum, nil
}

// Source holds the encoder's tensors as they are stored, for encoder.NewRunner. It is closed with p.
func (p *Pretrained) Source() weights.Source { return p.src }

// Tensors are copies of the encoder's tensors as Save takes them: matrices in float16, vectors in float32.
func (p *Pretrained) Tensors() ([]weights.NamedTensor, error) {
	tensors, err := take(p.src, encoder.Prefix)
	if err != nil {
		return nil, fmt.Errorf("read encoder %q: %w", p.Path, err)
	}
	for i, t := range tensors {
		if tensors[i], err = encoder.Compact(t); err != nil {
			return nil, fmt.Errorf("read encoder %q: %w", p.Path, err)
		}
	}
	return tensors, nil
}

// Close releases the memory map.
func (p *Pretrained) Close() error { return p.src.Close() }
