package captioner

import (
	"fmt"
	"math"

	"captioner/models/clip"
	"captioner/torch"
	"captioner/torch/nn"
)

// The forms of a memory.
const (
	// Grid is one token a place of the encoder's last map: normalised, projected, normalised, and told its row and its column.
	Grid = "grid"
	// PooledPadded is the encoder's one vector for a picture, not normalised, with zeros behind it up to the decoder's width: what
	// clip-text-decoder does. It has nothing to learn.
	PooledPadded = "pooled-padded"
	// PooledProjected is the encoder's one vector for a picture through a learned linear layer.
	PooledProjected = "pooled-projected"
	// Patches are the encoder's tokens (of a ViT with the class token first): normalised, projected and normalised. They know their places.
	Patches = "patches"
	// Tokens are the encoder's tokens as they are, or through one linear layer where their width is not the decoder's: what Hugging Face's
	// VisionEncoderDecoderModel does.
	Tokens = "tokens"
)

// MemoryKinds are the forms of a memory, for messages and flags.
var MemoryKinds = []string{Grid, PooledPadded, PooledProjected, Patches, Tokens}

// Memory is how the encoder's features become what the decoder looks at.
type Memory struct {
	Kind    string  `json:"kind"`
	In      int64   `json:"in"`               // channels of the features
	Side    int64   `json:"side,omitempty"`   // Grid: rows and columns
	Places  int64   `json:"places,omitempty"` // Patches, Tokens: how many
	Form    string  `json:"form,omitempty"`   // the point of the encoder that tokens are taken at (see clip.Form); "" is the last one without projection
	Dropout float64 `json:"dropout"`          // in training, before the projection and after it, and of what each layer adds
	Layers  int     `json:"layers,omitempty"` // Grid and Patches: of attention between the places
	Heads   int64   `json:"heads,omitempty"`  // of these layers
}

// NewMemory is a memory of the given kind over the features of e; "" takes Grid for an EfficientNet and Patches for others.
func NewMemory(e Eye, kind string, dropout float64) (Memory, error) {
	if kind == "" {
		kind = Patches
		if e.EfficientNet != nil {
			kind = Grid
		}
	}
	m := Memory{Kind: kind, Dropout: dropout}
	places, width, err := e.shape(m)
	if err != nil {
		return m, err
	}
	m.In = width
	switch kind {
	case Grid:
		m.Side = int64(math.Round(math.Sqrt(float64(places))))
	case Patches, Tokens:
		m.Places = places
	}
	return m, m.fits(e)
}

// Shape is that of a picture's features: places, and numbers a place.
func (m Memory) Shape() (places, width int64) {
	switch m.Kind {
	case Grid:
		return m.Side * m.Side, m.In
	case Patches, Tokens:
		return m.Places, m.In
	}
	return 1, m.In
}

func (m Memory) pooled() bool { return m.Kind == PooledPadded || m.Kind == PooledProjected }

// form is the point of a CLIP tower that the tokens are taken at.
func (m Memory) form(c clip.Config) clip.Form {
	switch {
	case m.Form != "":
		return clip.Form(m.Form)
	case m.Kind == Patches && !c.IsResNet():
		return clip.Normed
	}
	return clip.Raw
}

// fits reports the first thing in m that is not as the encoder gives it.
func (m Memory) fits(e Eye) error {
	switch m.Kind {
	case Grid, PooledPadded, PooledProjected, Patches, Tokens:
	default:
		return fmt.Errorf("memory: found kind %q, want one of %q", m.Kind, MemoryKinds)
	}
	places, width, err := e.shape(m)
	if err != nil {
		return err
	}
	if m.Layers > 0 && m.Kind != Grid && m.Kind != Patches {
		return fmt.Errorf("memory: found %d layers between the places of kind %q, want none", m.Layers, m.Kind)
	}
	if m.In != width {
		return fmt.Errorf("memory: found %d channels, want the encoder's %d", m.In, width)
	}
	if have, _ := m.Shape(); have != places {
		return fmt.Errorf("memory: found %d places, want %d for pictures of %d pixels", have, places, e.Preprocess.Size)
	}
	return nil
}

// memory makes the decoder's memory of features. What its kind has no use for is nil.
type memory struct {
	In      *nn.LayerNorm `key:"norm_in"`
	Project *nn.Linear    `key:"project"`
	Out     *nn.LayerNorm `key:"norm_out"`
	Rows    *torch.Tensor `key:"rows"`    // [side, C]
	Columns *torch.Tensor `key:"columns"` // [side, C]
	Blocks  []memoryBlock `key:"layers"`
	Last    *nn.LayerNorm `key:"norm_last"` // behind the blocks; nil without any

	form  Memory
	width int64
}

func newMemory(m Memory, width int64) *memory {
	out := &memory{form: m, width: width}
	if m.Kind == PooledPadded || m.Kind == Tokens && m.In == width {
		return out
	}
	project := nn.NewLinear(m.In, width, true)
	out.Project = &project
	if m.Kind == PooledProjected || m.Kind == Tokens {
		return out
	}
	norm := func(width int64) *nn.LayerNorm { n := nn.NewLayerNorm(width, 1e-5); return &n }
	out.In, out.Out = norm(m.In), norm(width)
	if m.Kind == Grid {
		out.Rows = torch.Empty(torch.Float32, torch.CPU, m.Side, width).Keep()
		out.Columns = torch.Empty(torch.Float32, torch.CPU, m.Side, width).Keep()
	}
	for range m.Layers {
		out.Blocks = append(out.Blocks, newMemoryBlock(width, m.Heads))
	}
	if m.Layers > 0 {
		out.Last = norm(width)
	}
	return out
}

// init draws new weights.
func (m *memory) init() {
	norms := []*nn.LayerNorm{m.In, m.Out, m.Last}
	for i := range m.Blocks {
		b := &m.Blocks[i]
		norms = append(norms, &b.AttnNorm, &b.MLPNorm)
		b.init(len(m.Blocks))
	}
	for _, n := range norms {
		if n != nil {
			nn.Constant(n.Weight, 1)
			nn.Constant(n.Bias, 0)
		}
	}
	if m.Project != nil {
		nn.Normal(m.Project.Weight, 1/math.Sqrt(float64(m.form.In)))
		nn.Constant(m.Project.Bias, 0)
	}
	if m.Rows != nil {
		nn.Normal(m.Rows, .02)
		nn.Normal(m.Columns, .02)
	}
}

// forward maps features [B, P, In] to a memory [B, P, C].
func (m *memory) forward(x *torch.Tensor, train bool) *torch.Tensor {
	drop := func(x *torch.Tensor) *torch.Tensor {
		if !train {
			return x
		}
		return x.Dropout(m.form.Dropout)
	}
	if m.form.Kind == PooledPadded {
		return x.Pad(0, m.width-m.form.In)
	}
	if m.In != nil {
		x = m.In.Forward(x)
	}
	if x = drop(x); m.Project != nil {
		x = m.Project.Forward(x) // [B, P, C]
	}
	if m.Out != nil {
		x = m.Out.Forward(x)
	}
	if m.Rows != nil {
		place := m.Rows.Unsqueeze(1).Add(m.Columns.Unsqueeze(0)) // [side, 1, C] + [1, side, C] -> [side, side, C]
		x = x.Add(place.Reshape(1, m.form.Side*m.form.Side, -1))
	}
	x = drop(x)
	if m.Last == nil {
		return x
	}
	for i := range m.Blocks {
		x = torch.Tidy1(func() *torch.Tensor { return m.Blocks[i].forward(x, drop) })
	}
	return m.Last.Forward(x)
}

// memoryBlock lets the places of a memory look at each other: attention, then two layers on each place by itself, each with a norm before it
// and its input added after it (Vaswani et al. 2017, with the norms moved as in GPT-2).
type memoryBlock struct {
	AttnNorm nn.LayerNorm `key:"ln_1"`
	QKV      nn.Linear    `key:"attn.qkv"` // [3C, C]: queries, keys, values
	AttnOut  nn.Linear    `key:"attn.out"`
	MLPNorm  nn.LayerNorm `key:"ln_2"`
	Up       nn.Linear    `key:"mlp.up"`
	Down     nn.Linear    `key:"mlp.down"`

	heads int64
}

func newMemoryBlock(width, heads int64) memoryBlock {
	return memoryBlock{AttnNorm: nn.NewLayerNorm(width, 1e-5), QKV: nn.NewLinear(width, 3*width, true), AttnOut: nn.NewLinear(width, width, true),
		MLPNorm: nn.NewLayerNorm(width, 1e-5), Up: nn.NewLinear(width, 4*width, true), Down: nn.NewLinear(4*width, width, true), heads: heads}
}

// init draws new weights, of blocks in all: what is added to the stream is small at first, as in GPT-2.
func (b *memoryBlock) init(blocks int) {
	for _, l := range []*nn.Linear{&b.QKV, &b.Up, &b.AttnOut, &b.Down} {
		nn.Normal(l.Weight, .02)
		nn.Constant(l.Bias, 0)
	}
	for _, l := range []*nn.Linear{&b.AttnOut, &b.Down} {
		nn.Normal(l.Weight, .02/math.Sqrt(float64(2*blocks)))
	}
}

// forward maps [B, P, C] to the same shape. The attention is plain products, whose backward is quicker than that of libtorch's fused kernel.
func (b *memoryBlock) forward(x *torch.Tensor, drop func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	n, p, c := x.Dim(0), x.Dim(1), x.Dim(2)
	qkv := b.QKV.Forward(b.AttnNorm.Forward(x)).View(n, p, 3, b.heads, c/b.heads).Permute(2, 0, 3, 1, 4) // [B, P, 3C] -> [3, B, H, P, D]
	q := qkv.Select(0, 0).MulScalar(1 / math.Sqrt(float64(c/b.heads)))
	y := q.Matmul(qkv.Select(0, 1).Transpose(-1, -2)).Softmax(-1).Matmul(qkv.Select(0, 2)) // [B, H, P, D]
	x = x.Add(drop(b.AttnOut.Forward(y.Transpose(1, 2).Reshape(n, p, c))))
	return x.Add(drop(b.Down.Forward(b.Up.Forward(b.MLPNorm.Forward(x)).GELU(true))))
}
