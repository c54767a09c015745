package clipdecoder10

import (
	"math"

	"captioner/torch"
	"captioner/torch/nn"
)

// Decoder is a model prepared for generation: its matrices laid out for few rows at a time, so that what a row gives
// does not depend on the rows beside it. It holds its own tensors; the model may be freed before. Free releases it.
type Decoder struct {
	Config Config

	device       torch.Device
	tokens       *torch.Tensor // [V, C], times √C
	positions    *torch.Tensor // [n, 1, C]
	scale, shift *torch.Tensor // [C]: the norm of the memory, whose statistics no longer change
	layers       []decoderLayer
	project      nn.Packed
}

type decoderLayer struct {
	qkv, out            nn.Packed
	value, crossOut     nn.Packed // of the cross-attention: over one position there is nothing to choose
	up, down            nn.Packed
	norm1, norm2, norm3 nn.PackedNorm
}

// Decoder prepares m, in float32.
func (m *Model) Decoder() *Decoder {
	d := &Decoder{Config: m.Config, device: m.Table.Weight.Device()}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			d.tokens = m.Table.Weight.Detach().To(torch.Float32).MulScalar(math.Sqrt(float64(m.Config.Width))).Keep()
			d.positions = m.Positions.Detach().Move(d.device, torch.Float32, true).Keep()
			n := &m.Norm
			d.scale = n.Weight.Mul(n.RunningVar.AddScalar(n.Eps).Rsqrt()).Detach().Keep()
			d.shift = n.Bias.Sub(n.RunningMean.Mul(d.scale)).Detach().Keep()
			d.project = packed(m.Project.Weight, m.Project.Bias, torch.NoActivation)
			for i := range m.Layers {
				d.layers = append(d.layers, newDecoderLayer(&m.Layers[i], m.Config.Width))
			}
		})
	})
	return d
}

func newDecoderLayer(l *Layer, width int64) decoderLayer {
	const none = torch.NoActivation
	a := &l.Cross
	return decoderLayer{
		qkv: packed(l.Self.QKV, l.Self.Bias, none), out: packed(l.Self.Out.Weight, l.Self.Out.Bias, none),
		value: packed(
			a.QKV.Narrow(0, 2*width, width),
			a.Bias.Narrow(0, 2*width, width),
			none,
		), crossOut: packed(a.Out.Weight, a.Out.Bias, none),
		up: packed(l.Up.Weight, l.Up.Bias, torch.ReLU), down: packed(l.Down.Weight, l.Down.Bias, none),
		norm1: nn.NewPackedNorm(&l.Norm1), norm2: nn.NewPackedNorm(&l.Norm2), norm3: nn.NewPackedNorm(&l.Norm3),
	}
}

func packed(weight, bias *torch.Tensor, act torch.Activation) nn.Packed {
	return nn.NewPacked(weight, bias, act, torch.Float32)
}

// Free releases the tensors.
func (d *Decoder) Free() {
	for _, t := range []*torch.Tensor{d.tokens, d.positions, d.scale, d.shift} {
		t.Free()
	}
	d.project.Free()
	for i := range d.layers {
		l := &d.layers[i]
		for _, p := range []*nn.Packed{&l.qkv, &l.out, &l.value, &l.crossOut, &l.up, &l.down} {
			p.Free()
		}
		for _, n := range []*nn.PackedNorm{&l.norm1, &l.norm2, &l.norm3} {
			n.Free()
		}
	}
}

// embed gives the vectors of ids [R] at position t: [R, C].
func (d *Decoder) embed(ids *torch.Tensor, t int64) *torch.Tensor {
	return torch.Embedding(d.tokens, ids).Add(d.positions.Select(0, t))
}

// attend is softmax(q kᵀ/√D) v: q [R, H, D], keys and values [R, H, t, D]: [R, C].
func (d *Decoder) attend(q, k, v *torch.Tensor) *torch.Tensor {
	scale := 1 / math.Sqrt(float64(q.Dim(2)))
	if d.device == torch.CPU {
		return torch.StepAttention(q, k, v, scale)
	}
	y := q.Unsqueeze(2).MulScalar(scale).Matmul(k.Transpose(-1, -2)).Softmax(-1).Matmul(v) // [R, H, 1, D]
	return y.Reshape(q.Dim(0), d.Config.Width)
}
