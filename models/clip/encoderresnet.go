package clip

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// resnetTower is a ModifiedResNet prepared for inference: normalization folded into the convolutions, ReLU and the sum
// of a block into the last of them.
type resnetTower struct {
	dtype  torch.DType
	stem   [3]nn.PackedConv
	stages [4][]packedBottleneck

	positions    *torch.Tensor // [1 + h w, C]
	q, k, v, out nn.Packed
	heads        int64
}

type packedBottleneck struct {
	convs  [3]nn.PackedConv
	short  *nn.PackedConv // nil where the input has the output's shape
	stride int64
}

func newResNetTower(m *ModifiedResNet, d torch.DType) *resnetTower {
	p := &m.Pool
	d = nn.Unquantized(d)
	t := &resnetTower{dtype: d, heads: p.heads, stem: [3]nn.PackedConv{nn.NewPackedConv(&m.Conv1, &m.Norm1, true, d),
		nn.NewPackedConv(&m.Conv2, &m.Norm2, true, d), nn.NewPackedConv(&m.Conv3, &m.Norm3, true, d)},
		positions: p.Positions.Detach().Move(p.Positions.Device(), d, true).Keep(),
		q: nn.NewPacked(
			p.Q.Weight,
			p.Q.Bias,
			torch.NoActivation,
			d,
		), k: nn.NewPacked(p.K.Weight, p.K.Bias, torch.NoActivation, d),
		v: nn.NewPacked(
			p.V.Weight,
			p.V.Bias,
			torch.NoActivation,
			d,
		), out: nn.NewPacked(p.Out.Weight, p.Out.Bias, torch.NoActivation, d)}
	for i, stage := range m.stages() {
		for j := range *stage {
			b := &(*stage)[j]
			packed := packedBottleneck{
				stride: b.stride,
				convs: [3]nn.PackedConv{nn.NewPackedConv(&b.Conv1, &b.Norm1, true, d),
					nn.NewPackedConv(&b.Conv2, &b.Norm2, true, d), nn.NewPackedConv(&b.Conv3, &b.Norm3, true, d)},
			}
			if b.Short != nil {
				short := nn.NewPackedConv(&b.Short.Conv, &b.Short.Norm, false, d)
				packed.short = &short
			}
			t.stages[i] = append(t.stages[i], packed)
		}
	}
	return t
}

func (t *resnetTower) chunk() int64 { return 8 }

func (t *resnetTower) pooled(x *torch.Tensor, see see) *torch.Tensor {
	return t.pool(t.features(x, see), 1).Squeeze(1)
}

func (t *resnetTower) tokens(x *torch.Tensor, f Form, see see) *torch.Tensor {
	if x = t.features(x, see); f == Projected {
		return t.pool(x, -1)
	}
	return rows(x).To(torch.Float32)
}

// features gives the last map, [B, C, h/32, w/32].
func (t *resnetTower) features(x *torch.Tensor, see see) *torch.Tensor {
	x = x.To(t.dtype).ChannelsLast()
	for i := range t.stem {
		x = t.stem[i].Forward(x, nil)
	}
	x = torch.AvgPool2d(x, 2)
	see("avgpool", x)
	for i, stage := range t.stages {
		for j := range stage {
			x = torch.Tidy1(func() *torch.Tensor { return stage[j].forward(x) })
			see(fmt.Sprintf("layer%d.%d", i+1, j), x)
		}
	}
	return x
}

func (b *packedBottleneck) forward(x *torch.Tensor) *torch.Tensor {
	y := b.convs[1].Forward(b.convs[0].Forward(x, nil), nil)
	if b.stride > 1 {
		x, y = torch.AvgPool2d(x, b.stride), torch.AvgPool2d(y, b.stride)
	}
	if b.short != nil {
		x = b.short.Forward(x, nil)
	}
	return b.convs[2].Forward(y, x)
}

// pool is AttentionPool.forward.
func (t *resnetTower) pool(x *torch.Tensor, queries int64) *torch.Tensor {
	x = rows(x)                                              // [B, h w, C]
	x = torch.Cat(1, x.MeanDim(1, true), x).Add(t.positions) // [B, 1 + h w, C]
	heads := func(l *nn.Packed, x *torch.Tensor) *torch.Tensor {
		return l.Forward(x, nil).View(x.Dim(0), x.Dim(1), t.heads, -1).Transpose(1, 2) // [B, T, C] -> [B, H, T, D]
	}
	asking := x
	if queries > 0 {
		asking = x.Narrow(1, 0, queries).Contiguous()
	}
	seen := attendEach(heads(&t.q, asking), heads(&t.k, x), heads(&t.v, x))
	return t.out.ForwardFloat32(nn.JoinHeads(seen), nil, nil) // [B, Q, E]
}

// attendEach is nn.Attend of each image by itself, q [B, H, Q, D] and k, v [B, H, T, D]: libtorch's kernel sums in
// another order for one image than for several, and features must not depend on the batch.
func attendEach(q, k, v *torch.Tensor) *torch.Tensor {
	n := q.Dim(0)
	if n == 1 || q.Device().IsCUDA() {
		return nn.Attend(q, k, v, nil)
	}
	var out []*torch.Tensor
	for i := range n {
		out = append(out, nn.Attend(q.Narrow(0, i, 1), k.Narrow(0, i, 1), v.Narrow(0, i, 1), nil))
	}
	return torch.Cat(0, out...)
}

func (t *resnetTower) free() {
	t.positions.Free()
	for i := range t.stem {
		t.stem[i].Free()
	}
	for _, stage := range t.stages {
		for i := range stage {
			for j := range stage[i].convs {
				stage[i].convs[j].Free()
			}
			if stage[i].short != nil {
				stage[i].short.Free()
			}
		}
	}
	for _, l := range []*nn.Packed{&t.q, &t.k, &t.v, &t.out} {
		l.Free()
	}
}
