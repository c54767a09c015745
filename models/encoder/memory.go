package encoder

import (
	"fmt"
	"math"

	"captioner/torch"
	"captioner/weights/plural"
)

// The kinds of a memory.
const (
	// Grid is one position for each position of the encoder's last map: normalized, projected, normalized, with its row
	// and column added.
	Grid = "grid"
	// PooledPadded is the encoder's one vector for an image, not normalized, with zeros behind it up to the decoder's
	// width: what clip-text-decoder does. It has nothing to learn.
	PooledPadded = "pooled-padded"
	// PooledProjected is the encoder's one vector for an image through a learned linear layer.
	PooledProjected = "pooled-projected"
	// Patches are the encoder's tokens (of a ViT with the class token first): normalized, projected and normalized. They
	// hold their positions already.
	Patches = "patches"
	// Tokens are the encoder's tokens as they are, or through one linear layer where their width is not the decoder's:
	// what Hugging Face's VisionEncoderDecoderModel does.
	Tokens = "tokens"
)

// MemoryKinds are all kinds of a memory, for messages and flags.
var MemoryKinds = []string{Grid, PooledPadded, PooledProjected, Patches, Tokens}

// Memory is which of an encoder's features a decoder looks at, and how they become its memory.
type Memory struct {
	Kind      string  `json:"kind"`
	In        int64   `json:"in"`               // channels of the features
	Side      int64   `json:"side,omitempty"`   // Grid: rows and columns
	Positions int64   `json:"places,omitempty"` // Patches, Tokens: how many
	Form      string  `json:"form,omitempty"`   // the point of the encoder that tokens are taken at; "" is its last one
	Dropout   float64 `json:"dropout"`          // in training: around the projection, and of what each layer adds
	Layers    int     `json:"layers,omitempty"` // Grid and Patches: of attention between the positions
	Heads     int64   `json:"heads,omitempty"`  // of these layers
}

// NewMemory is a memory of a kind over the features of c. An empty kind takes what suits the encoder.
func NewMemory(c Config, kind string, dropout float64) (Memory, error) {
	if kind == "" && c.Encoder != nil {
		kind = c.Encoder.Memory()
	}
	m := Memory{Kind: kind, Dropout: dropout}
	positions, channels, err := c.shape(m)
	if err != nil {
		return m, err
	}
	m.In = channels
	switch kind {
	case Grid:
		m.Side = int64(math.Round(math.Sqrt(float64(positions))))
	case Patches, Tokens:
		m.Positions = positions
	}
	return m, m.Fits(c)
}

// Shape is that of an image's features: positions, and channels of each.
func (m Memory) Shape() (positions, channels int64) {
	switch m.Kind {
	case Grid:
		return m.Side * m.Side, m.In
	case Patches, Tokens:
		return m.Positions, m.In
	}
	return 1, m.In
}

// Pooled says whether m looks at one vector for an image.
func (m Memory) Pooled() bool { return m.Kind == PooledPadded || m.Kind == PooledProjected }

// Fits reports the first thing in m that is not as the encoder gives it.
func (m Memory) Fits(c Config) error {
	switch m.Kind {
	case Grid, PooledPadded, PooledProjected, Patches, Tokens:
	default:
		return fmt.Errorf("memory: found kind %q, want one of %q", m.Kind, MemoryKinds)
	}
	positions, channels, err := c.shape(m)
	if err != nil {
		return err
	}
	if m.Layers > 0 && m.Kind != Grid && m.Kind != Patches {
		return fmt.Errorf("memory: found %s between the positions of kind %q, want none", plural.Count(m.Layers, "layer"),
			m.Kind)
	}
	if m.In != channels {
		return fmt.Errorf("memory: found %s, want the encoder's %d", plural.Count(m.In, "channel"), channels)
	}
	if have, _ := m.Shape(); have != positions {
		return fmt.Errorf(
			"memory: found %s, want %d for images of %d pixels",
			plural.Count(have, "position"),
			positions,
			c.Preprocess.Size,
		)
	}
	return nil
}

// FromTokens takes what m looks at from the tokens [B, T, C] of a ViT, of which the first lead, such as the class
// token, stand for no patch. A grid does without those.
func (m Memory) FromTokens(x *torch.Tensor, lead int64) *torch.Tensor {
	if m.Kind == Grid && lead > 0 {
		x = x.Narrow(1, lead, x.Dim(1)-lead)
	}
	return x
}

// FromMap takes what m looks at from the positions [B, P, C] of a map: their mean [B, 1, C] where m is pooled.
func (m Memory) FromMap(x *torch.Tensor) *torch.Tensor {
	if m.Pooled() {
		x = x.MeanDim(1, true)
	}
	return x
}
