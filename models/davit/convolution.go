package davit

import (
	"captioner/torch"
	"captioner/torch/nn"
)

// convolution is one prepared for inference in float32, over maps whose channels are innermost. It holds its own
// tensors.
type convolution struct {
	weight, bias    *torch.Tensor
	stride, padding [2]int64
	groups          int64
	packed          bool // laid out as oneDNN wants it: on the CPU
}

// newConvolution prepares c. With residual its input is added to what it gives, by a kernel whose middle is one larger:
// the convolution must be depthwise then.
func newConvolution(c *nn.Conv2d, residual bool) convolution {
	out := convolution{
		stride: [2]int64{c.Stride, c.Stride}, padding: [2]int64{c.Padding, c.Padding}, groups: c.Groups,
		packed: c.Weight.Device() == torch.CPU,
	}
	torch.Scoped(func() {
		weight := c.Weight.Detach().To(torch.Float32) // [out, in/groups, k, k]
		if residual {
			k := weight.Dim(3)
			one := make([]float32, k*k)
			one[k*k/2] = 1
			weight = weight.Add(torch.Upload(one, weight.Device(), 1, 1, k, k))
		}
		out.bias = c.Bias.Detach().Move(c.Bias.Device(), torch.Float32, true).Keep()
		if weight = weight.ChannelsLast(); out.packed {
			weight = torch.PackConv2d(weight, out.stride, out.padding, [2]int64{1, 1}, out.groups, nil)
		} else {
			weight = weight.Clone()
		}
		out.weight = weight.Keep()
	})
	return out
}

// forward maps [B, H, W, in] to [B, H', W', out].
func (c *convolution) forward(x *torch.Tensor) *torch.Tensor {
	x = x.Permute(0, 3, 1, 2) // channels last
	if c.packed {
		x = torch.PackedConv2d(
			x, c.weight, c.bias, c.stride, c.padding, [2]int64{1, 1}, c.groups, torch.NoActivation, nil)
	} else {
		x = torch.Conv2d(x, c.weight, c.bias, c.stride, c.padding, [2]int64{1, 1}, c.groups)
	}
	return x.Permute(0, 2, 3, 1).Contiguous()
}

func (c *convolution) free() {
	c.weight.Free()
	c.bias.Free()
}
