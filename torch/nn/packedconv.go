package nn

import "captioner/torch"

// PackedConv is a convolution without bias and the normalization behind it, folded into one for inference. On the CPU
// its weight is laid out as oneDNN wants it. It holds its own tensors.
type PackedConv struct {
	weight, bias    *torch.Tensor
	stride, padding [2]int64
	groups          int64
	packed          bool
	act             torch.Activation
}

// NewPackedConv folds n into c in type d (packed in float32 and bfloat16; there is no int8); relu says whether ReLU
// follows.
func NewPackedConv(c *Conv2d, n *BatchNorm2d, relu bool, d torch.DType) PackedConv {
	l := PackedConv{stride: [2]int64{c.Stride, c.Stride}, padding: [2]int64{c.Padding, c.Padding}, groups: c.Groups,
		packed: c.Weight.Device() == torch.CPU && (d == torch.Float32 || d == torch.BFloat16)}
	if relu {
		l.act = torch.ReLU
	}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			scale := n.Weight.Mul(n.RunningVar.AddScalar(n.Eps).Rsqrt())                  // [out]
			weight := c.Weight.Detach().Mul(scale.View(-1, 1, 1, 1)).To(d).ChannelsLast() // [out, in/groups, k, k]
			l.bias = n.Bias.Sub(n.RunningMean.Mul(scale)).Detach().To(d).Clone().Keep()
			if l.packed {
				l.weight = torch.PackConv2d(weight, l.stride, l.padding, [2]int64{1, 1}, l.groups, nil).Keep()
			} else {
				l.weight = weight.Clone().Keep()
			}
		})
	})
	return l
}

// Forward maps x [B, in, h, w], channels last, in the layer's type, to [B, out, h', w']. residual, if not nil, is added
// before ReLU.
func (l *PackedConv) Forward(x, residual *torch.Tensor) *torch.Tensor {
	if l.packed {
		return torch.PackedConv2d(x, l.weight, l.bias, l.stride, l.padding, [2]int64{1, 1}, l.groups, l.act, residual)
	}
	x = torch.Conv2d(x, l.weight, l.bias, l.stride, l.padding, [2]int64{1, 1}, l.groups)
	if residual != nil {
		x = x.Add(residual)
	}
	if l.act == torch.ReLU {
		x = x.Relu()
	}
	return x
}

// Free releases the tensors.
func (l *PackedConv) Free() {
	l.weight.Free()
	l.bias.Free()
}
