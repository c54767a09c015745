package florence2

import (
	"fmt"

	"captioner/models/bart"
	"captioner/models/bert"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

var _ family.Prompted = Config{}

// Key is "florence2".
func (Config) Key() string { return "florence2" }

// Sizes are the tokens of the vocabulary, the most tokens of a text, and the channels of a token.
func (c Config) Sizes() (vocabulary, positions, width int64) {
	return c.Text.VocabSize, c.Text.Positions, c.Text.Width
}

// Validate reports sizes that do not fit each other, and a map that the projection and the positions are not made for.
func (c Config) Validate(m encoder.Memory, architecture string) error {
	if err := c.check(); err != nil {
		return err
	}
	positions, channels := m.Shape()
	switch {
	case channels != c.Image:
		return family.Mismatch("%s gives %d channels, want the %d of image_projection",
			architecture, channels, c.Image)
	case positions > c.Side*c.Side:
		return family.Mismatch("%s gives %d positions, want at most %d rows of as many",
			architecture, positions, c.Side)
	case positions+1 >= c.Text.Positions:
		return family.Mismatch("%s gives %d positions, want fewer than max_position_embeddings %d", architecture,
			positions+1, c.Text.Positions)
	}
	return nil
}

// Load reads the model for inference in type d.
func (c Config) Load(src weights.Source, _ encoder.Memory, o nn.LoadOptions, d torch.DType) (family.Writer, error) {
	if err := c.matches(src, family.DecoderPrefix); err != nil {
		return nil, err
	}
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if err := m.Load(src, o.Below(family.DecoderPrefix).AsStored()); err != nil {
		return nil, err
	}
	return m.Decoder(d), nil
}

// matches reports sizes that are not those of the weights, whose names begin with prefix.
func (c Config) matches(src weights.Source, prefix string) error {
	shapes := weights.ShapesOf(src)
	project := shapes.Of(prefix+"multi_modal_projector.image_projection.weight", 2)
	rows := shapes.Of(prefix+"multi_modal_projector.image_position_embed.row_embeddings.weight", 2)
	times := shapes.Of(prefix+"multi_modal_projector.visual_temporal_embed.pos_idx_to_embed", 2)
	if err := shapes.Err(); err != nil {
		return fmt.Errorf("read Florence-2's sizes: %w", err)
	}
	for _, s := range []struct {
		name        string
		said, found int64
	}{
		{"projection_dim", c.Text.Width, project[0]},
		{"embed_dim", c.Image, project[1]},
		{"max_position_embeddings", c.Side, rows[0]},
		{"max_temporal_embeddings", c.Times, times[0]},
	} {
		if s.said != s.found {
			return fmt.Errorf("vision_config: found %s %d, want the %d of the weights", s.name, s.said, s.found)
		}
	}
	return c.Text.Matches(src, prefix+"language_model.")
}

// Decoder is a model prepared for generation. It holds its own tensors; Free releases them, and the model may be freed
// before.
type Decoder struct {
	Config  Config
	project nn.Packed
	norm    nn.PackedNorm
	tables  Projector // of positions, in float32
	reader  *bart.Encoder
	writer  *bert.Decoder
}

// Decoder prepares m in type d; see bert.Model.Decoder.
func (m *Model) Decoder(d torch.DType) *Decoder {
	p := &m.Projector
	out := &Decoder{Config: m.Config}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			keep := func(t *torch.Tensor) *torch.Tensor { return t.Detach().Move(t.Device(), torch.Float32, true).Keep() }
			out.tables = Projector{Rows: keep(p.Rows), Columns: keep(p.Columns), Times: keep(p.Times)}
			out.project = nn.NewPacked(p.Project.Weight, nil, torch.NoActivation, d)
			out.norm = nn.NewPackedNorm(&p.Norm)
			out.reader, out.writer = m.BART.Reader(d), m.BART.Writer(m.head(), d)
		})
	})
	return out
}

// Start begins texts about images, from the maps of the vision encoder [B, P, M]. The text side reads an image and the
// prompt once, for all rows of the image.
func (d *Decoder) Start(features *torch.Tensor, t family.Texts) (family.Session, error) {
	if n, most := int64(len(t.Prompt))+features.Dim(1)+1, d.Config.Text.Positions; n > most {
		const message = "start decoding: found %d positions of image and prompt, want at most %d"
		return nil, fmt.Errorf(message, n, most)
	}
	var s *bert.Session
	var err error
	torch.NoGrad(func() {
		torch.Scoped(func() {
			x := pool(features.To(torch.Float32).Add(d.tables.positions(features.Dim(1)))) // [B, 1+P, M]
			x = d.norm.Forward(d.project.ForwardFloat32(x, nil, nil), torch.Float32)       // [B, 1+P, C]
			s, err = d.writer.Start(d.reader.Read(x, t.Prompt), t.Images, t.Rows, t.Length)
		})
	})
	return s, err
}

// Holds is the bytes that a session keeps of an image with so many positions.
func (d *Decoder) Holds(positions int64) int64 { return d.writer.Holds(1 + positions) }

// Free releases the tensors.
func (d *Decoder) Free() {
	d.project.Free()
	d.norm.Free()
	nn.Free(&d.tables)
	d.reader.Free()
	d.writer.Free()
}
