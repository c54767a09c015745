package clip

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// vitTower is a VisionTransformer prepared for inference.
type vitTower struct {
	dtype       torch.DType
	patch, side int64

	patches   nn.Packed     // [C, 3 p p]: the convolution as a product, since its windows do not overlap
	class     *torch.Tensor // [1, 1, C], the class token with its position
	positions *torch.Tensor // [T-1, C]
	pre, post nn.Fixed
	stack     *nn.Stack
	proj      *nn.Packed // nil without
}

func newViTTower(m *VisionTransformer, v Vision, d torch.DType) *vitTower {
	positions := m.Positions.Detach()
	t := &vitTower{dtype: d, patch: v.PatchSize, side: v.ImageSize / v.PatchSize,
		patches:   nn.NewPacked(m.Patches.Weight.Flatten(1, 3), nil, d),
		class:     m.Class.Detach().Add(positions.Select(0, 0)).View(1, 1, -1).Keep(),
		positions: positions.Narrow(0, 1, positions.Dim(0)-1).Clone().Keep(),
		pre:       nn.NewFixed(&m.Pre), post: nn.NewFixed(&m.Post)}
	if m.Proj != nil {
		p := nn.NewPacked(m.Proj.Transpose(0, 1), nil, torch.Float32) // small, and the last place for bfloat16 to round
		t.proj = &p
	}
	var blocks []nn.StackBlock
	for i := range m.Transformer.Blocks {
		b := &m.Transformer.Blocks[i]
		blocks = append(blocks, nn.StackBlock{AttnNorm: &b.AttnNorm, QKV: &nn.Linear{Weight: b.Attn.QKVWeight, Bias: b.Attn.QKVBias},
			Out: &b.Attn.Out, MLPNorm: &b.MLPNorm, Up: &b.MLP.Up, Down: &b.MLP.Down})
	}
	t.stack = nn.NewStack(blocks, m.Transformer.heads, m.Transformer.act, d)
	return t
}

// chunk was measured with ViT-B/32 on two cores: 8 to 32 are alike, 1 is a fifth slower in float32 and a quarter in bfloat16.
func (t *vitTower) chunk() int64 { return 16 }

func (t *vitTower) pooled(x *torch.Tensor, see see) *torch.Tensor {
	return t.project(t.post.Forward(t.features(x, see).Select(1, 0).Contiguous(), torch.Float32))
}

func (t *vitTower) tokens(x *torch.Tensor, f Form, see see) *torch.Tensor {
	x = t.features(x, see)
	if f == Raw {
		return x
	}
	if x = t.post.Forward(x, torch.Float32); f == Normed {
		return x
	}
	return t.project(x)
}

// features gives the tokens behind the last block, [B, T, C] in float32.
func (t *vitTower) features(x *torch.Tensor, see see) *torch.Tensor {
	b, side, p := x.Dim(0), t.side, t.patch
	x = x.Narrow(2, 0, side*p).Narrow(3, 0, side*p).To(t.dtype)                                  // pixels behind the last whole patch are left out
	x = x.Reshape(b, 3, side, p, side, p).Permute(0, 2, 4, 1, 3, 5).Reshape(b, side*side, 3*p*p) // [B, 3, h, w] -> [B, T-1, 3 p p]
	x = t.patches.Forward(x).To(torch.Float32).Add(t.positions)                                  // [B, T-1, C]
	x = t.pre.Forward(torch.Cat(1, t.class.Expand(b, 1, -1), x), torch.Float32)
	see("visual.ln_pre", x)
	return t.stack.Forward(x, func(i int, x *torch.Tensor) { see(fmt.Sprintf("visual.transformer.resblocks.%d", i), x) })
}

// project maps [..., C] into the common space, where there is one.
func (t *vitTower) project(x *torch.Tensor) *torch.Tensor {
	if t.proj == nil {
		return x
	}
	return t.proj.Forward(x)
}

func (t *vitTower) free() {
	t.patches.Free()
	t.class.Free()
	t.positions.Free()
	t.pre.Free()
	t.post.Free()
	t.stack.Free()
	if t.proj != nil {
		t.proj.Free()
	}
}
