// Package clipscore measures how well captions fit their images: CLIPScore and RefCLIPScore (Hessel et al. 2021,
// arXiv 2104.08718; github.com/jmhessel/clipscore at 459f821). CLIP makes a vector of each image, caption and
// reference, of unit length; a caption's score is its cosine with the image.
//
//	m, err := clipscore.Open("ViT-B-32.pt", clipscore.Options{})
//	images, err := m.Images(ctx, []*image.RGB{m.Prepare(img)})
//	texts, err := m.Texts(ctx, []string{"a dog runs", "the dog is running"})
//	clipscore.Score(images[0], texts[0]), clipscore.RefScore(images[0], texts[0], texts[1:])
//
// Published numbers are of OpenAI's ViT-B/32 in float32; scores of different CLIPs cannot be compared. Texts that are
// longer than the text tower takes are cut off, as in the reference. Other vocabularies than OpenAI's are refused.
package clipscore

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"captioner/data/image"
	"captioner/data/tokenizer"
	"captioner/models/clip"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/formats"
)

// Prompt stands before every caption and reference.
const Prompt = "A photo depicts "

// Model is a CLIP with both towers. Its methods may be called from any goroutine.
type Model struct {
	SHA256 string // of its file, in hexadecimal
	Doubt  string // what was taken for want of a word in the files, for people; "" is nothing

	tokenizer  *tokenizer.CLIPTokenizer
	preprocess image.Preprocess
	config     clip.Config
	device     torch.Device
	images     *clip.Encoder
	texts      *clip.Model // without its image tower
	src        weights.Source
}

// Options of Open. The zero value computes on the CPU.
type Options struct {
	Device string         // "cpu", "cuda", "cuda:1"; "" and "auto": the best that is there
	Heads  *encoder.Heads // of both towers, and the activation, where the files do not say them; nil: none is given
}

// Open loads a checkpoint of CLIP with its text tower, in the keys of OpenAI, OpenCLIP or Hugging Face, from
// safetensors or a PyTorch file.
func Open(path string, o Options) (*Model, error) {
	m, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("open CLIP %q: %w", path, err)
	}
	return m, nil
}

func open(path string, o Options) (*Model, error) {
	src, err := formats.Open(path)
	if err != nil {
		return nil, err
	}
	m := &Model{tokenizer: tokenizer.CLIP(), src: src}
	folder, own := formats.Folder(path)
	if !own {
		folder = filepath.Dir(path)
	}
	if err = m.describe(encoder.Dir(folder), own, o.Heads); err == nil {
		err = m.load(o)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	if m.SHA256, err = formats.SHA256(path); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// describe reads the sizes of both towers.
func (m *Model) describe(beside encoder.Folder, own bool, h *encoder.Heads) error {
	named, err := clip.Keys(m.src)
	if err != nil {
		return err
	}
	m.src = named
	c, err := clip.ConfigOf(named)
	switch {
	case err != nil:
		return err
	case c.Text == nil:
		return fmt.Errorf("found an image tower alone, want a checkpoint with its text tower")
	case c.Text.VocabSize != int64(m.tokenizer.VocabSize()):
		return fmt.Errorf("found a vocabulary of %d, want OpenAI's %d", c.Text.VocabSize, m.tokenizer.VocabSize())
	case c.EmbedDim == 0:
		return fmt.Errorf("found towers without a common space, want their projections")
	}
	full, images, err := clip.Complete(c, named, beside, own, h)
	m.config, m.preprocess, m.Doubt = full, images.Preprocess, images.Doubt(encoder.CLIPPart)
	return err
}

func (m *Model) load(o Options) (err error) {
	c := m.config
	if o.Device == "" {
		o.Device = "auto"
	}
	return torch.Do(context.Background(), func() (err error) {
		if m.device, err = torch.ParseDevice(o.Device); err != nil {
			return err
		}
		if m.texts, err = clip.New(c); err != nil {
			return err
		}
		if err := m.texts.Load(m.src, nn.LoadOptions{Device: m.device}); err != nil {
			return err
		}
		m.images = m.texts.Encoder(torch.Float32)
		return nil
	})
}

// Close releases the model.
func (m *Model) Close() error {
	err := torch.Do(context.Background(), func() error {
		if m.images != nil {
			m.images.Free()
		}
		if m.texts != nil {
			m.texts.Free()
		}
		return nil
	})
	if m.src != nil {
		if cerr := m.src.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// Prepare makes of an image what Images takes.
func (m *Model) Prepare(img *image.RGB) *image.RGB { return m.preprocess.Apply(img) }

// chunk bounds what goes through a tower at once.
const chunk = 64

// Images gives a vector of unit length for each prepared image.
func (m *Model) Images(ctx context.Context, imgs []*image.RGB) ([][]float32, error) {
	side := m.preprocess.Size
	for i, img := range imgs {
		if img.W != side || img.H != side {
			return nil, fmt.Errorf(
				"clipscore: image %d is %dx%d, want %dx%d as Prepare gives",
				i,
				img.W,
				img.H,
				side,
				side,
			)
		}
	}
	return m.units(ctx, len(imgs), func(from, to int) (*torch.Tensor, error) {
		var pixels []byte
		for _, img := range imgs[from:to] {
			pixels = append(pixels, img.Pix...)
		}
		return m.images.EncodeImage(encoder.Pixels(pixels, to-from, m.preprocess, m.device)), nil
	})
}

// Texts gives a vector of unit length for each text, with Prompt before it.
func (m *Model) Texts(ctx context.Context, texts []string) ([][]float32, error) {
	sentences := make([]string, len(texts))
	for i, t := range texts {
		sentences[i] = Prompt + t
	}
	return m.Sentences(ctx, sentences)
}

// Sentences gives a vector of unit length for each text, as it stands.
func (m *Model) Sentences(ctx context.Context, texts []string) ([][]float32, error) {
	ids := make([][]int32, len(texts))
	for i, t := range texts {
		row, _ := m.tokenizer.Context(t, int(m.config.Text.Context))
		end := slices.Index(row, m.tokenizer.End()) // what stands behind the first end changes nothing
		ids[i] = row[:end+1]
	}
	return m.units(
		ctx,
		len(texts),
		func(from, to int) (*torch.Tensor, error) { return m.texts.EncodeText(ids[from:to]) },
	)
}

// units runs f on the torch thread over 0..n in chunks, and scales the rows [to-from, E] that it gives to unit length.
func (m *Model) units(ctx context.Context, n int, f func(from, to int) (*torch.Tensor, error)) ([][]float32, error) {
	out := make([][]float32, 0, n)
	for from := 0; from < n; from += chunk {
		err := torch.Do(ctx, func() (err error) {
			torch.Inference(func() {
				var x *torch.Tensor
				if x, err = f(from, min(from+chunk, n)); err != nil {
					return
				}
				width := int(x.Dim(1))
				flat := torch.Slice[float32](clip.Unit(x.To(torch.Float32)).ToDevice(torch.CPU).Contiguous())
				for ; len(flat) > 0; flat = flat[width:] {
					out = append(out, flat[:width:width])
				}
			})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
