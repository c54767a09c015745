package clip

import (
	"fmt"
	"strconv"
	"strings"

	"captioner/torch"
	"captioner/torch/nn"
)

// Lower gives the tokens that enter a block behind block 0 of a ViT, from normalized images x [B, 3, ImageSize,
// ImageSize]: [B, T, C] in float32.
func (e *Encoder) Lower(x *torch.Tensor, block int) *torch.Tensor {
	t, ok := e.tower.(*vitTower)
	if !ok {
		torch.Fail("clip", "a ResNet has no blocks to stop at, want a ViT")
	}
	nn.CheckImages("clip", x, e.Config.Vision.ImageSize)
	first := t.stack.First(block)
	return nn.Chunks(x, t.chunk(), e.device, func(x *torch.Tensor) *torch.Tensor {
		return first.Forward(t.pre.Forward(t.patches.Forward(x), torch.Float32), nil)
	})
}

// UpperImage is EncodeImage of a ViT from what enters a block: tokens [B, T, C] as Lower gives them, or for block 0
// normalized images. Its gradients flow to what Tunable lists.
func (m *Model) UpperImage(x *torch.Tensor, block int) *torch.Tensor {
	return m.pool(m.upper(x, block))
}

// UpperTokens is Tokens of a ViT from what enters a block; see UpperImage.
func (m *Model) UpperTokens(x *torch.Tensor, block int, f Form) *torch.Tensor {
	return m.formed(m.upper(x, block), f)
}

// upper gives the tokens behind the last block.
func (m *Model) upper(x *torch.Tensor, block int) *torch.Tensor {
	if block == 0 {
		nn.CheckImages("clip", x, m.Config.Vision.ImageSize)
		return m.ViT.features(x, m.see)
	}
	rest := Transformer{
		Blocks: m.ViT.Transformer.Blocks[block:],
		heads:  m.ViT.Transformer.heads,
		act:    m.ViT.Transformer.act,
	}
	return rest.forward(x, nil, fmt.Sprintf("visual.transformer.from %d", block), m.see)
}

// Tunable marks the image tower's parameters from a block of a ViT on as leaves that want gradients, as far as the form
// f depends on them (the pooled features do so as Projected does), and lists them; all others want none.
func (m *Model) Tunable(block int, f Form) ([]nn.Param, error) {
	if m.ViT == nil {
		return nil, fmt.Errorf("train the encoder: found a ResNet of CLIP, want a ViT")
	}
	if n := len(m.ViT.Transformer.Blocks); block < 0 || block >= n {
		return nil, fmt.Errorf("train the encoder from block %d: want 0 to %d", block, n-1)
	}
	var out []nn.Param
	for _, p := range nn.State(m) {
		on := false
		switch name, tower := strings.CutPrefix(p.Name, "visual."); {
		case !tower:
		case name == "proj":
			on = f == Projected
		case strings.HasPrefix(name, "ln_post."):
			on = f != Raw
		default:
			rest, isBlock := strings.CutPrefix(name, "transformer.resblocks.")
			number, _, _ := strings.Cut(rest, ".")
			i, _ := strconv.Atoi(number)
			on = block == 0 || isBlock && i >= block
		}
		if p.Tensor.RequireGrad(on); on {
			out = append(out, p)
		}
	}
	return out, nil
}
