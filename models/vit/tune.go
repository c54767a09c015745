package vit

import (
	"fmt"
	"strconv"
	"strings"

	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

var _ encoder.Tunable = Config{}

// TuneStages is the blocks.
func (c Config) TuneStages() int { return c.Layers }

// LoadTrainable reads the network for training.
func (c Config) LoadTrainable(src weights.Source, o nn.LoadOptions) (encoder.Trainable, error) {
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	if err := m.Load(src, o); err != nil {
		m.Free()
		return nil, err
	}
	return m, nil
}

// Lower gives the tokens that enter a block behind block 0, from normalized images x [B, 3, side, side]: [B, T, C] in
// float32.
func (e *Encoder) Lower(x *torch.Tensor, block int) *torch.Tensor {
	e.Config.check(x)
	first := e.stack.First(block)
	return nn.Chunks(x, chunk, e.device, func(x *torch.Tensor) *torch.Tensor { return first.Forward(e.embed(x), nil) })
}

// Module is the network: its tags are timm's names.
func (m *Model) Module() any { return m }

// Upper gives what a memory looks at from what enters a block: tokens [B, T, C] as Encoder.Lower gives them, or for
// block 0 normalized images. Its gradients flow to what Tunable lists.
func (m *Model) Upper(x *torch.Tensor, block int, memory encoder.Memory) *torch.Tensor {
	if block == 0 {
		x = m.embed(x)
	}
	x = m.Norm.Forward(m.blocks(x, block))
	if memory.Pooled() {
		return x.Narrow(1, 0, 1) // the class token, [B, 1, C]
	}
	return memory.FromTokens(x, m.Config.Lead())
}

// Tunable marks the parameters from a block on as leaves that want gradients, and lists them; all others want none.
func (m *Model) Tunable(block int, _ encoder.Memory) ([]nn.Param, error) {
	if n := len(m.Blocks); block < 0 || block >= n {
		return nil, fmt.Errorf("train the encoder from block %d: want 0 to %d", block, n-1)
	}
	var out []nn.Param
	for _, p := range nn.State(m) {
		on := block == 0 || strings.HasPrefix(p.Name, "norm.")
		if rest, ok := strings.CutPrefix(p.Name, "blocks."); ok {
			number, _, _ := strings.Cut(rest, ".")
			i, _ := strconv.Atoi(number)
			on = i >= block
		}
		if p.Tensor.RequireGrad(on); on {
			out = append(out, p)
		}
	}
	return out, nil
}
