package captioner

import (
	"fmt"
	"reflect"
	"strings"

	"captioner/data/image"
	"captioner/models/blip"
	"captioner/models/clip"
	"captioner/models/efficientnet"
	"captioner/models/vit"
	"captioner/weights"
)

// Pretrained is an encoder's checkpoint: its description, and its tensors in a memory map, named as in a model file. Close it after what was
// loaded from it is freed.
type Pretrained struct {
	Path string
	Eye  Eye // SHA256 is set by Checksum alone
	src  weights.Source
}

// OpenEncoder opens an encoder's checkpoint and finds out by its content what it is: EfficientNet-Lite, CLIP in the keys of OpenAI, OpenCLIP or
// Hugging Face, BLIP in those of LAVIS or Hugging Face, Hugging Face's ViT (files, or folders with a config.json), or a captioner's model file, whose encoder is taken.
func OpenEncoder(path string) (*Pretrained, error) {
	src, err := OpenWeights(path)
	if err != nil {
		return nil, fmt.Errorf("open encoder: %w", err)
	}
	p, err := recognise(path, src)
	if dir, ok := inFolder(path); ok && err == nil {
		err = folderEye(dir, &p.Eye)
	}
	if err != nil {
		src.Close()
		return nil, fmt.Errorf("open encoder %q: %w", path, err)
	}
	return p, nil
}

// recognise finds the architecture whose tensors src holds.
func recognise(path string, src weights.Source) (*Pretrained, error) {
	if src.Metadata()[weights.MetaConfig] != "" {
		f, err := describe(path, src)
		if err != nil {
			return nil, err
		}
		if !f.HasEncoder() {
			return nil, f.missingEncoder()
		}
		return &Pretrained{Path: path, Eye: f.Config.Encoder, src: src}, nil
	}
	names := src.Names()
	for _, n := range names {
		switch {
		case strings.HasSuffix(n, "visual_encoder.cls_token"), strings.HasSuffix(n, "vision_model.encoder.layers.0.self_attn.qkv.weight"):
			return blipCheckpoint(path, src)
		}
	}
	for _, n := range names {
		switch {
		case strings.HasSuffix(n, "visual.conv1.weight"), strings.HasSuffix(n, "vision_model.embeddings.patch_embedding.weight"):
			return clipCheckpoint(path, src)
		case n == "_conv_stem.weight":
			return efficientNetCheckpoint(path, src)
		}
	}
	if _, ok := vit.IsFace(src); ok {
		return vitCheckpoint(path, src)
	}
	return nil, fmt.Errorf("found %d tensors of no encoder that this version knows, want a checkpoint of CLIP, BLIP, ViT or EfficientNet-Lite", len(names))
}

func clipCheckpoint(path string, src weights.Source) (*Pretrained, error) {
	face := clip.IsFace(src)
	src, err := clip.Keys(src)
	if err != nil {
		return nil, err
	}
	c, err := clip.ConfigOf(src)
	if err != nil {
		return nil, err
	}
	c = c.WithoutText()
	named, err := weights.Rename(src, func(n string) (string, bool) {
		return encoderPrefix + n, strings.HasPrefix(n, "visual.") && !strings.HasSuffix(n, ".num_batches_tracked")
	})
	if err != nil {
		return nil, err
	}
	e := clipEyeOf(c)
	e.Preprocess.ScaleFirst = !face // its processor makes pictures RGB first
	return &Pretrained{Path: path, Eye: e, src: named}, nil
}

// clipModels are OpenAI's, by the names that clip.load knows.
var clipModels = map[string]func() clip.Config{
	"ViT-B/32": clip.ViTB32, "ViT-B/16": clip.ViTB16, "ViT-L/14": clip.ViTL14, "ViT-L/14@336px": clip.ViTL14x336,
	"RN50": clip.RN50, "RN101": clip.RN101, "RN50x4": clip.RN50x4, "RN50x16": clip.RN50x16, "RN50x64": clip.RN50x64,
}

// clipEyeOf is the eye of a CLIP image tower, with the transform that clip.load gives for all of OpenAI's models.
func clipEyeOf(c clip.Config) Eye {
	c = c.WithoutText()
	e := Eye{CLIP: &c, Preprocess: image.Preprocess{Size: int(c.Vision.ImageSize), Fit: image.FitCrop, Mean: clip.Mean, Std: clip.Std, ScaleFirst: true}}
	for name, shape := range clipModels {
		if reflect.DeepEqual(shape().WithoutText(), c) {
			e.Architecture = name
			return e
		}
	}
	e.Architecture = fmt.Sprintf("CLIP ViT of %d layers, width %d, patches of %d", c.Vision.Layers, c.Vision.Width, c.Vision.PatchSize)
	if c.IsResNet() {
		e.Architecture = fmt.Sprintf("CLIP ResNet of stages %v, width %d", c.Vision.Stages, c.Vision.Width)
	}
	return e
}

func blipCheckpoint(path string, src weights.Source) (*Pretrained, error) {
	src, err := blip.Keys(src)
	if err != nil {
		return nil, err
	}
	c, err := vit.ConfigOf(src)
	if err != nil {
		return nil, err
	}
	named, err := weights.Rename(src, weights.Prefix("", encoderPrefix))
	return &Pretrained{Path: path, Eye: blipEyeOf(c), src: named}, err
}

// blipEyeOf is the eye of a BLIP vision tower, with the preprocessing of LAVIS's feature extractor.
func blipEyeOf(c vit.Config) Eye {
	e := Eye{Architecture: "blip:base", BLIP: &c, Preprocess: image.Preprocess{Size: int(c.ImageSize), Fit: image.FitSquash, Mean: blip.Mean, Std: blip.Std}}
	if c != blip.Base() {
		e.Architecture = fmt.Sprintf("BLIP ViT of %d layers, width %d, patches of %d, pictures of %d", c.Layers, c.Width, c.PatchSize, c.ImageSize)
	}
	return e
}

func vitCheckpoint(path string, src weights.Source) (*Pretrained, error) {
	src, err := vit.Keys(src)
	if err != nil {
		return nil, err
	}
	c, err := vit.ConfigOf(src)
	if err != nil {
		return nil, err
	}
	c.NormEpsilon = 1e-12 // ViTConfig's own
	e := Eye{Architecture: fmt.Sprintf("ViT of %d layers, width %d, patches of %d, pictures of %d", c.Layers, c.Width, c.PatchSize, c.ImageSize), ViT: &c,
		Preprocess: image.Preprocess{Size: int(c.ImageSize), Fit: image.FitSquash, Filter: image.FilterLinear, Mean: vit.Mean, Std: vit.Std}}
	named, err := weights.Rename(src, weights.Prefix("", encoderPrefix))
	return &Pretrained{Path: path, Eye: e, src: named}, err
}

// efficientNets are the encoders of the Lite family.
var efficientNets = []struct {
	name  string
	shape func() efficientnet.Config
}{
	{"efficientnet-lite0", efficientnet.Lite0}, {"efficientnet-lite1", efficientnet.Lite1}, {"efficientnet-lite2", efficientnet.Lite2},
	{"efficientnet-lite3", efficientnet.Lite3}, {"efficientnet-lite4", efficientnet.Lite4},
}

// efficientNetCheckpoint tells the members of the family apart by their number of blocks and the width of the last one.
func efficientNetCheckpoint(path string, src weights.Source) (*Pretrained, error) {
	names := map[string]bool{}
	for _, n := range src.Names() {
		names[n] = true
	}
	blocks := 0
	for names[fmt.Sprintf("_blocks.%d._project_conv.weight", blocks)] {
		blocks++
	}
	var width int64
	if t, err := src.Tensor(fmt.Sprintf("_blocks.%d._project_conv.weight", blocks-1)); err == nil && len(t.Shape) == 4 {
		width = t.Shape[0]
	}
	for _, known := range efficientNets {
		c := known.shape().WithoutHead()
		n := 0
		for _, s := range c.Stages {
			n += s.Repeats
		}
		if n != blocks || c.GridChannels() != width {
			continue
		}
		e := Eye{Architecture: known.name, EfficientNet: &c, Preprocess: image.Preprocess{Size: int(c.Resolution), Fit: image.FitSquash}}
		for i := range 3 {
			e.Preprocess.Mean[i], e.Preprocess.Std[i] = efficientnet.Mean, efficientnet.Std
		}
		named, err := weights.Rename(src, func(n string) (string, bool) {
			return encoderPrefix + n, !strings.HasSuffix(n, ".num_batches_tracked") && !strings.HasPrefix(n, "_fc.") &&
				!strings.HasPrefix(n, "_conv_head.") && !strings.HasPrefix(n, "_bn1.")
		})
		return &Pretrained{Path: path, Eye: e, src: named}, err
	}
	return nil, fmt.Errorf("found an EfficientNet of %d blocks and %d channels, want one of the Lite family", blocks, width)
}

// Checksum reads the whole file once and sets Eye.SHA256, in hexadecimal.
func (p *Pretrained) Checksum() (string, error) {
	if p.Eye.SHA256 != "" {
		return p.Eye.SHA256, nil
	}
	sum, err := checksum(p.Path)
	if err != nil {
		return "", fmt.Errorf("checksum of encoder: %w", err)
	}
	p.Eye.SHA256 = sum
	return sum, nil
}

// Source holds the encoder's tensors as they are stored, for LoadEncoder. It is closed with p.
func (p *Pretrained) Source() weights.Source { return p.src }

// Tensors are copies of the encoder's tensors as Save takes them: matrices in float16, vectors in float32.
func (p *Pretrained) Tensors() ([]weights.NamedTensor, error) {
	tensors, err := take(p.src, encoderPrefix)
	if err != nil {
		return nil, fmt.Errorf("read encoder %q: %w", p.Path, err)
	}
	for i, t := range tensors {
		if tensors[i], err = compact(t); err != nil {
			return nil, fmt.Errorf("read encoder %q: %w", p.Path, err)
		}
	}
	return tensors, nil
}

// Close releases the memory map.
func (p *Pretrained) Close() error { return p.src.Close() }
