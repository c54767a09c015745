package swin

import (
	"captioner/torch"
	"captioner/torch/nn"
)

// Encoder is the network prepared for inference. It holds its own tensors: Free releases them, and the Model that it
// was made from may go first.
type Encoder struct {
	Config    Config
	device    torch.Device
	dtype     torch.DType // of the pixels
	patches   nn.Packed   // [C, p p 3]: the convolution as a product, since its windows do not overlap
	patchNorm nn.PackedNorm
	stages    []stage
	norm      nn.PackedNorm
}

type stage struct {
	heads  int64
	blocks []block
	merge  *merge

	shifted [2]int64      // rows and columns of the maps that mask is for
	mask    *torch.Tensor // of their shifted windows, [windows, 1, S², S²]; nil before the first
}

type block struct {
	attnNorm, mlpNorm  nn.PackedNorm
	qkv, out, up, down nn.Packed
	apart              *torch.Tensor // [1, heads, S², S²], added to the scores
}

type merge struct {
	norm   nn.PackedNorm
	reduce nn.Packed
}

// Encoder prepares m in type d, on the device of its weights: float32, or bfloat16 or int8 for the products alone.
// Norms, softmax and the residual stream stay in float32.
func (m *Model) Encoder(d torch.DType) *Encoder {
	e := &Encoder{
		Config: m.Config, device: m.PatchNorm.Weight.Device(), dtype: nn.Unquantized(d),
		patchNorm: nn.NewPackedNorm(&m.PatchNorm), norm: nn.NewPackedNorm(&m.Norm),
	}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			pixels := m.Patches.Weight.Permute(0, 2, 3, 1).Flatten(1, 3) // [C, 3, p, p] -> [C, p p 3]
			e.patches = nn.NewPackedFor(nn.Encoder, pixels, m.Patches.Bias, torch.NoActivation, e.dtype)
			far := apart(m.Config.Window, e.device)
			for i := range m.Stages {
				s := stage{heads: m.Config.Heads[i], merge: m.Stages[i].Merge.prepared(d)}
				for j := range m.Stages[i].Blocks {
					s.blocks = append(s.blocks, m.Stages[i].Blocks[j].prepared(m.Config, far, d))
				}
				e.stages = append(e.stages, s)
			}
		})
	})
	return e
}

// prepared is the block in type d; far says which row of its table two positions of a window have.
func (b *Block) prepared(c Config, far *torch.Tensor, d torch.DType) block {
	const none = torch.NoActivation
	pack := func(l *nn.Linear, act torch.Activation) nn.Packed {
		return nn.NewPackedFor(nn.Encoder, l.Weight, l.Bias, act, d)
	}
	out := block{
		attnNorm: nn.NewPackedNorm(&b.AttnNorm), mlpNorm: nn.NewPackedNorm(&b.MLPNorm),
		out: pack(&b.Out, none), up: pack(&b.Up, activations[c.Activation]), down: pack(&b.Down, none),
	}
	torch.Scoped(func() {
		qkv := nn.Linear{Weight: torch.Cat(0, b.Query.Weight, b.Key.Weight, b.Value.Weight).Detach()} // [3C, C]
		if c.QKVBias {
			qkv.Bias = torch.Cat(0, b.Query.Bias, b.Key.Bias, b.Value.Bias)
		}
		for _, l := range []*nn.Linear{&b.Query, &b.Key, &b.Value} {
			l.Weight.Forget()
		}
		out.qkv = pack(&qkv, none)
		n, table := c.Window*c.Window, b.Apart.Detach().To(torch.Float32)
		scores := table.IndexSelect(0, far).View(n, n, -1).Permute(2, 0, 1) // [heads, S², S²]
		out.apart = scores.Unsqueeze(0).Contiguous().Keep()
	})
	return out
}

// apart is the row of a table for each two positions of a window of some side: [S² S²].
func apart(side int64, dev torch.Device) *torch.Tensor {
	all := make([]int64, 0, side*side*side*side)
	for a := range side * side {
		for b := range side * side {
			rows, columns := a/side-b/side, a%side-b%side
			all = append(all, (rows+side-1)*(2*side-1)+columns+side-1)
		}
	}
	return torch.Upload(all, dev)
}

// prepared is the merging in type d. Its weights hold the four of a square column by column; Windows cuts row by row.
func (m *Merge) prepared(d torch.DType) *merge {
	if m == nil {
		return nil
	}
	rows := func(x *torch.Tensor) *torch.Tensor { // [..., 4C]
		n := x.Rank()
		c := x.Dim(n-1) / 4
		x = x.Detach().Reshape(-1, 2, 2, c).Transpose(1, 2).Reshape(-1, 4*c)
		if n == 1 {
			return x.View(-1)
		}
		return x
	}
	norm := nn.LayerNorm{Weight: rows(m.Norm.Weight), Bias: rows(m.Norm.Bias), Eps: m.Norm.Eps}
	defer m.Reduce.Weight.Forget()
	return &merge{
		norm:   nn.NewPackedNorm(&norm),
		reduce: nn.NewPackedFor(nn.Encoder, rows(m.Reduce.Weight), nil, torch.NoActivation, d),
	}
}

// chunk is how many images go through at once on the CPU: the first maps of one of 224 pixels are 6 MB inside a block.
const chunk = 2

// Tokens gives the last map of normalized images x [B, 3, h, w] behind the last norm as positions, row by row:
// [B, N, C] in float32, Hugging Face's last_hidden_state. An image's map does not depend on the others of its batch.
func (e *Encoder) Tokens(x *torch.Tensor) *torch.Tensor {
	if x.Rank() != 4 || x.Dim(1) != 3 {
		torch.Fail("swin", "images of shape %v, want [B, 3, h, w]", x.Shape())
	}
	if err := e.Config.holds(min(x.Dim(2), x.Dim(3))); err != nil {
		torch.Fail("swin", "%v", err)
	}
	return nn.Chunks(x, chunk, e.device, func(x *torch.Tensor) *torch.Tensor {
		x = torch.Tidy1(func() *torch.Tensor { return e.embed(x) })
		for i := range e.stages {
			x = e.stages[i].forward(x, e.Config.Window)
		}
		return e.norm.Forward(x.Flatten(1, 2), torch.Float32)
	})
}

// embed gives the map that enters the first block: [B, 3, h, w] to [B, H, W, C]. The last patches are padded with
// zeros.
func (e *Encoder) embed(x *torch.Tensor) *torch.Tensor {
	x = x.Permute(0, 2, 3, 1) // [B, h, w, 3]
	p := nn.WindowsOf(x, e.Config.PatchSize, 0)
	rows, columns := p.Padded()
	cut := p.Cut(x).Flatten(1, 2).To(e.dtype)   // [B·H·W, p p 3]
	x = e.patches.ForwardFloat32(cut, nil, nil) // [B·H·W, C]
	x = e.patchNorm.Forward(x, torch.Float32)
	return x.View(p.Images, rows/p.Side, columns/p.Side, e.Config.Width)
}

// forward runs a map [B, H, W, C] through the blocks, and makes it smaller and wider unless the stage is the last.
func (s *stage) forward(x *torch.Tensor, side int64) *torch.Tensor {
	return torch.Tidy1(func() *torch.Tensor {
		w := nn.WindowsOf(x, side, side/2)
		var mask *torch.Tensor
		if min(w.Rows, w.Columns) <= side { // one window is a row of them: there is nothing to shift to
			w.Shift = 0
		} else if w.Shift > 0 {
			mask = s.maskOf(w, x.Device())
		}
		for i := range s.blocks {
			x = torch.Tidy1(func() *torch.Tensor {
				if i%2 == 0 {
					return s.blocks[i].forward(x, nn.WindowsOf(x, side, 0), s.heads, nil)
				}
				return s.blocks[i].forward(x, w, s.heads, mask)
			})
		}
		if s.merge != nil {
			x = s.merge.forward(x)
		}
		return x
	})
}

// forward maps [B, H, W, C] to the same shape. The mask [windows, 1, S², S²] is of shifted windows; nil for none.
func (b *block) forward(x *torch.Tensor, w nn.Windows, heads int64, mask *torch.Tensor) *torch.Tensor {
	scores := b.apart // [1, heads, S², S²]
	if mask != nil {
		scores = scores.Add(mask) // [windows, heads, S², S²]
	}
	x = w.Attend(x, &b.attnNorm, &b.qkv, &b.out, func(qkv *torch.Tensor) *torch.Tensor {
		return nn.HeadAttention(qkv, heads, scores)
	})
	return b.down.ForwardFloat32(b.up.Forward(x, &b.mlpNorm), nil, x)
}

// maskOf is the mask of shifted windows. It is kept for the next map of that size.
func (s *stage) maskOf(w nn.Windows, dev torch.Device) *torch.Tensor {
	if of := [2]int64{w.Rows, w.Columns}; s.mask == nil || s.shifted != of {
		s.mask.Free()
		torch.Scoped(func() { s.mask = mask(w, dev).Keep() })
		s.shifted = of
	}
	return s.mask
}

// outOfSight is added to the score of two positions that lie in one shifted window but not side by side in the map.
const outOfSight = -100

// mask is what is added to the scores of shifted windows, which hold what came in at the other edge: [windows, 1, S²,
// S²].
func mask(w nn.Windows, dev torch.Device) *torch.Tensor {
	rows, columns := w.Padded()
	stretch := func(at, of int64) int64 { // of rows or of columns that lie side by side
		switch {
		case at < of-w.Side:
			return 0
		case at < of-w.Shift:
			return 1
		}
		return 2
	}
	s := w.Side
	regions := make([]int64, s*s) // of the positions of a window
	all := make([]float32, 0, rows*columns*s*s)
	for top := int64(0); top < rows; top += s {
		for left := int64(0); left < columns; left += s {
			for i := range s * s {
				regions[i] = 3*stretch(top+i/s, rows) + stretch(left+i%s, columns)
			}
			for _, a := range regions {
				for _, b := range regions {
					var add float32
					if a != b {
						add = outOfSight
					}
					all = append(all, add)
				}
			}
		}
	}
	return torch.Upload(all, dev, rows/s*(columns/s), 1, s*s, s*s)
}

// forward makes a map half as large and twice as wide: [B, H, W, C] to [B, H/2, W/2, 2C]. What the last squares lack is
// zeros.
func (m *merge) forward(x *torch.Tensor) *torch.Tensor {
	w := nn.WindowsOf(x, 2, 0)
	rows, columns := w.Padded()
	x = m.reduce.ForwardFloat32(w.Cut(x).Flatten(1, 2), &m.norm, nil) // [B·H/2·W/2, 4C] -> [B·H/2·W/2, 2C]
	return x.View(w.Images, rows/2, columns/2, -1)
}

// Free releases the tensors.
func (e *Encoder) Free() {
	e.patches.Free()
	e.patchNorm.Free()
	e.norm.Free()
	for i := range e.stages {
		s := &e.stages[i]
		s.mask.Free()
		for j := range s.blocks {
			b := &s.blocks[j]
			b.attnNorm.Free()
			b.mlpNorm.Free()
			b.apart.Free()
			for _, p := range []*nn.Packed{&b.qkv, &b.out, &b.up, &b.down} {
				p.Free()
			}
		}
		if s.merge != nil {
			s.merge.norm.Free()
			s.merge.reduce.Free()
		}
	}
}
