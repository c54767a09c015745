package captioner

import (
	"context"
	"fmt"
	"math"

	"captioner/data/image"
	"captioner/models/crossgpt2"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/torch"
)

// FeatureShape says how much the encoder knows of an image: vectors of width numbers, one a position. Of a grid they
// come row by row from the top left; a pooled embedding is one position.
func (c *Captioner) FeatureShape() (positions, width int) {
	p, w := c.File.Config.Memory.Shape()
	return int(p), int(w)
}

// Features gives the encoder's features of prepared images, positions·width numbers each: all that the captioner will
// ever see of them. The mean over the positions is an image's embedding; it is good for finding images alike, and has
// lost where things are. The whole batch goes through the encoder at once: the caller bounds its size.
func (c *Captioner) Features(ctx context.Context, imgs []*image.RGB) ([][]float32, error) {
	if len(imgs) == 0 && c.encoder == nil {
		return nil, c.File.MissingEncoder()
	}
	var out [][]float32
	err := c.fits.each(len(imgs), func(from, to int) error {
		some, err := c.featuresOf(ctx, imgs[from:to])
		out = append(out, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// featuresOf is Features of a batch that fits.
func (c *Captioner) featuresOf(ctx context.Context, imgs []*image.RGB) ([][]float32, error) {
	pixels, err := c.pack(imgs)
	if err != nil {
		return nil, err
	}
	var flat []float32
	err = torch.Do(ctx, func() error {
		torch.Inference(func() {
			flat = torch.Slice[float32](c.encoder.Features(pixels, len(imgs)).To(torch.Float32)) // [n, P, In]
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(imgs))
	each := len(flat) / len(imgs)
	for i := range out {
		out[i] = flat[i*each : (i+1)*each : (i+1)*each]
	}
	return out, nil
}

// Pads says whether CaptionFeatures takes fewer numbers than FeatureShape's width and puts zeros behind them, as
// clip-text-decoder does: where the memory is that package's and the file does not name the encoder.
func (c *Captioner) Pads() bool {
	_, ok := crossgpt2.Sizes(c.File.Config)
	return ok && c.File.Config.Memory.Kind == encoder.PooledPadded && c.File.Config.Encoder.Architecture == ""
}

// CaptionFeatures captions images of which only the features are left, as Features gives them: the captions are the
// ones that Caption gives. A vector of width numbers alone, repeated for every position, is taken too; what it says
// then is vague. Numbers that are not finite are refused.
func (c *Captioner) CaptionFeatures(ctx context.Context, features [][]float32, o decode.Options) ([]Caption, error) {
	positions, width := c.FeatureShape()
	flat := make([]float32, 0, len(features)*positions*width)
	for i, f := range features {
		if len(f) != positions*width && !(c.Pads() && 0 < len(f) && len(f) < width) {
			return nil, fmt.Errorf(
				"caption features: image %d has %d numbers, want %d positions of %d",
				i,
				len(f),
				positions,
				width,
			)
		}
		for k, x := range f {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return nil, fmt.Errorf("caption features: image %d: number %d is %g, want finite ones", i, k, x)
			}
		}
		flat = append(append(flat, f...), make([]float32, positions*width-len(f))...)
	}
	if len(features) == 0 {
		return nil, nil
	}
	out := make([]Caption, 0, len(features))
	err := c.fits.each(len(features), func(from, to int) error {
		n, each := to-from, positions*width
		return torch.Do(ctx, func() (err error) {
			var some []Caption
			torch.Inference(func() {
				x := torch.FromSlice(flat[from*each:to*each], int64(n), int64(positions), int64(width)) // [n, P, In]
				some, err = c.write(x.ToDevice(c.device), n, o.Of(from, to))
			})
			out = append(out, some...)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// pack lays the pixels of prepared images one after the other.
func (c *Captioner) pack(imgs []*image.RGB) ([]byte, error) {
	if c.encoder == nil {
		return nil, c.File.MissingEncoder()
	}
	size := c.File.Config.Encoder.Preprocess.Size
	pixels := make([]byte, 0, len(imgs)*size*size*3)
	for i, img := range imgs {
		if img.W != size || img.H != size {
			return nil, fmt.Errorf(
				"encode images: image %d is %dx%d, want %dx%d as Prepare gives",
				i,
				img.W,
				img.H,
				size,
				size,
			)
		}
		pixels = append(pixels, img.Pix...)
	}
	return pixels, nil
}
