package encoder

import (
	"captioner/data/image"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Runner turns prepared images into the features that a memory looks at. Free releases it.
type Runner struct {
	config  Config
	device  torch.Device
	memory  Memory
	network Network
}

// NewRunner loads the encoder that c describes for inference in type d, from src, where its tensors stand under Prefix.
// It gives what a memory of m's kind looks at.
func NewRunner(c Config, m Memory, src weights.Source, dev torch.Device, d torch.DType) (*Runner, error) {
	if c.Encoder == nil {
		return nil, c.Validate()
	}
	network, err := c.Encoder.Load(src, nn.LoadOptions{Prefix: Prefix, Device: dev, Ignore: outside, Once: true}, d)
	if err != nil {
		return nil, err
	}
	return &Runner{config: c, device: dev, memory: m, network: network}, nil
}

// Features maps the pixels of n prepared images (n·Size·Size·3 bytes, packed RGB) to [n, P, C] in float32. An image's
// features do not depend on the others.
func (r *Runner) Features(pixels []byte, n int) *torch.Tensor {
	return r.chunked(pixels, n, func(x *torch.Tensor) *torch.Tensor { return r.network.Features(x, r.memory) })
}

// Lower maps the pixels of n prepared images to what enters a stage behind stage 0, [n, P, C] in float32.
func (r *Runner) Lower(pixels []byte, n, stage int) *torch.Tensor {
	network, ok := r.network.(Staged)
	if !ok {
		torch.Fail("tune encoder", "%s has no stages, want an EfficientNet or a ViT", r.config.Architecture)
	}
	return r.chunked(pixels, n, func(x *torch.Tensor) *torch.Tensor { return network.Lower(x, stage) })
}

// chunkPixels are how many pixels are turned into numbers at once on the CPU, 16 images of 224 by 224: as bytes they
// take a quarter of the memory. A GPU takes all.
const chunkPixels = 16 * 224 * 224

// chunked runs f on a chunk of normalized images at a time.
func (r *Runner) chunked(pixels []byte, n int, f func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	return torch.Tidy1(func() *torch.Tensor {
		size := r.config.Preprocess.Size
		bytes := size * size * 3 // of an image
		chunk := max(1, chunkPixels/(size*size))
		if r.device.IsCUDA() {
			chunk = n
		}
		var chunks []*torch.Tensor
		for i := 0; i < n; i += chunk {
			end := min(i+chunk, n)
			chunks = append(chunks, torch.Tidy1(func() *torch.Tensor {
				return f(Pixels(pixels[i*bytes:end*bytes], end-i, r.config.Preprocess, r.device))
			}))
		}
		if len(chunks) == 1 {
			return chunks[0]
		}
		return torch.Cat(0, chunks...)
	})
}

// Free releases the weights.
func (r *Runner) Free() { r.network.Free() }

// Pixels makes normalized images [n, 3, Size, Size] on dev of n prepared ones, Size·Size·3 bytes of packed RGB each:
// (pixel - Mean)/Std. They go to a GPU as bytes.
func Pixels(pixels []byte, n int, p image.Preprocess, dev torch.Device) *torch.Tensor {
	return torch.Tidy1(func() *torch.Tensor {
		mean, std := p.Mean, p.Std
		x := torch.Upload(pixels, dev, int64(n), int64(p.Size), int64(p.Size), 3).To(torch.Float32)
		if mean[0] == mean[1] && mean[1] == mean[2] && std[0] == std[1] && std[1] == std[2] {
			x = x.AddScalar(-mean[0]).MulScalar(1 / std[0]) // not broadcast: over an inner extent of 3 that is slow
		} else {
			channels := func(v []float64) *torch.Tensor { return torch.Upload(v, dev).To(torch.Float32) }
			x = x.Sub(channels(mean[:])).Div(channels(std[:]))
		}
		return x.Permute(0, 3, 1, 2) // [n, h, w, 3] -> [n, 3, h, w], channels innermost
	})
}
