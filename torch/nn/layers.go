package nn

import "captioner/torch"

// NewParam is a kept tensor of unset elements in float32 on the CPU.
func NewParam(shape ...int64) *torch.Tensor {
	return torch.Empty(torch.Float32, torch.CPU, shape...).Keep()
}

// Linear is y = x Wᵀ + b.
type Linear struct {
	Weight *torch.Tensor `key:"weight"` // [out, in]
	Bias   *torch.Tensor `key:"bias"`   // [out], or nil
}

// NewLinear makes a layer from in to out features.
func NewLinear(in, out int64, bias bool) Linear {
	l := Linear{Weight: NewParam(out, in)}
	if bias {
		l.Bias = NewParam(out)
	}
	return l
}

// Forward maps [..., in] to [..., out].
func (l *Linear) Forward(x *torch.Tensor) *torch.Tensor { return torch.Linear(x, l.Weight, l.Bias) }

// Conv1D is Hugging Face's linear layer of GPT-2, y = x W + b, whose weight lies [in, out].
type Conv1D struct {
	Weight *torch.Tensor `key:"weight"` // [in, out]
	Bias   *torch.Tensor `key:"bias"`   // [out]
}

// NewConv1D makes a layer from in to out features.
func NewConv1D(in, out int64) Conv1D { return Conv1D{Weight: NewParam(in, out), Bias: NewParam(out)} }

// Forward maps [..., in] to [..., out].
func (l *Conv1D) Forward(x *torch.Tensor) *torch.Tensor {
	return torch.LinearTurned(x, l.Weight, l.Bias)
}

// LayerNorm normalizes the last dimension.
type LayerNorm struct {
	Weight *torch.Tensor `key:"weight"` // [C]
	Bias   *torch.Tensor `key:"bias"`   // [C]
	Eps    float64
}

// NewLayerNorm makes a layer for width C.
func NewLayerNorm(width int64, eps float64) LayerNorm {
	return LayerNorm{Weight: NewParam(width), Bias: NewParam(width), Eps: eps}
}

// Forward maps [..., C] to [..., C].
func (l *LayerNorm) Forward(x *torch.Tensor) *torch.Tensor {
	return torch.LayerNorm(x, []int64{x.Dim(-1)}, l.Weight, l.Bias, l.Eps)
}

// Embedding is a table of rows.
type Embedding struct {
	Weight *torch.Tensor `key:"weight"` // [V, C]
}

// NewEmbedding makes a table of n rows of width C.
func NewEmbedding(n, width int64) Embedding { return Embedding{Weight: NewParam(n, width)} }

// Forward maps ids [...] (int64) to [..., C].
func (l *Embedding) Forward(ids *torch.Tensor) *torch.Tensor { return torch.Embedding(l.Weight, ids) }

// Conv2d is a convolution with a square kernel.
type Conv2d struct {
	Weight  *torch.Tensor `key:"weight"` // [out, in/groups, k, k]
	Bias    *torch.Tensor `key:"bias"`   // [out], or nil
	Stride  int64
	Padding int64
	Groups  int64
}

// NewConv2d makes a convolution of kernel k; groups = in is a depthwise one.
func NewConv2d(in, out, k, stride, padding, groups int64, bias bool) Conv2d {
	c := Conv2d{Weight: NewParam(out, in/groups, k, k), Stride: stride, Padding: padding, Groups: groups}
	if bias {
		c.Bias = NewParam(out)
	}
	return c
}

// Forward maps [B, in, h, w] to [B, out, h', w'].
func (l *Conv2d) Forward(x *torch.Tensor) *torch.Tensor {
	return torch.Conv2d(
		x,
		l.Weight,
		l.Bias,
		[2]int64{l.Stride, l.Stride},
		[2]int64{l.Padding, l.Padding},
		[2]int64{1, 1},
		l.Groups,
	)
}

// BatchNorm2d is batch normalization with stored statistics.
type BatchNorm2d struct {
	Weight      *torch.Tensor `key:"weight"`              // [C]
	Bias        *torch.Tensor `key:"bias"`                // [C]
	RunningMean *torch.Tensor `key:"running_mean,buffer"` // [C]
	RunningVar  *torch.Tensor `key:"running_var,buffer"`  // [C]
	Eps         float64
}

// NewBatchNorm2d makes a layer for C channels.
func NewBatchNorm2d(channels int64, eps float64) BatchNorm2d {
	return BatchNorm2d{
		Weight:      NewParam(channels),
		Bias:        NewParam(channels),
		RunningMean: NewParam(channels),
		RunningVar:  NewParam(channels),
		Eps:         eps,
	}
}

// Forward maps [B, C, h, w] to the same shape.
func (l *BatchNorm2d) Forward(x *torch.Tensor) *torch.Tensor {
	return torch.BatchNorm(x, l.Weight, l.Bias, l.RunningMean, l.RunningVar, l.Eps)
}
