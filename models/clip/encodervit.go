package clip

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// vitTower is a VisionTransformer prepared for inference.
type vitTower struct {
	patches   nn.Patches
	pre, post nn.PackedNorm
	stack     *nn.Stack
	proj      *nn.Packed // nil without
}

func newViTTower(m *VisionTransformer, v Vision, d torch.DType) *vitTower {
	t := &vitTower{pre: nn.NewPackedNorm(&m.Pre)}
	torch.Scoped(func() {
		class := m.Class.Detach().View(1, -1).Add(m.Positions.Detach().Narrow(0, 0, 1)) // [1, C]
		positions := m.Positions.Narrow(0, 1, m.Positions.Dim(0)-1)                     // [P, C]
		t.patches = nn.NewPatches(&m.Patches, class, positions, v.ImageSize/v.PatchSize, d)
	})
	if m.Post != nil {
		t.post = nn.NewPackedNorm(m.Post)
	}
	if m.Proj != nil {
		p := nn.NewPacked(
			m.Proj.Transpose(0, 1),
			nil,
			torch.NoActivation,
			torch.Float32,
		) // small, and the last place for bfloat16 to round
		t.proj = &p
	}
	var blocks []nn.StackBlock
	for i := range m.Transformer.Blocks {
		b := &m.Transformer.Blocks[i]
		blocks = append(
			blocks,
			nn.StackBlock{AttnNorm: &b.AttnNorm, QKV: &nn.Linear{Weight: b.Attn.QKVWeight, Bias: b.Attn.QKVBias},
				Out: &b.Attn.Out, MLPNorm: &b.MLPNorm, Up: &b.MLP.Up, Down: &b.MLP.Down},
		)
	}
	t.stack = nn.NewStack(blocks, m.Transformer.heads, m.Transformer.act, d)
	return t
}

// chunk was measured with ViT-B/32 on two cores: 8 to 32 are alike, 1 is a fifth slower in float32 and a quarter in
// bfloat16.
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
	x = t.pre.Forward(t.patches.Forward(x), torch.Float32)
	see("visual.ln_pre", x)
	return t.stack.Forward(
		x,
		func(i int, x *torch.Tensor) { see(fmt.Sprintf("visual.transformer.resblocks.%d", i), x) },
	)
}

// project maps [..., C] into the common space, where there is one.
func (t *vitTower) project(x *torch.Tensor) *torch.Tensor {
	if t.proj == nil {
		return x
	}
	return t.proj.Forward(x, nil)
}

func (t *vitTower) free() {
	t.patches.Free()
	t.pre.Free()
	t.post.Free()
	t.stack.Free()
	if t.proj != nil {
		t.proj.Free()
	}
}
