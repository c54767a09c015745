// Package florence2 is Florence-2 (Xiao et al. 2023): a vision encoder (package davit) whose last map, projected, is
// read by BART (package bart) in front of a prompt that says what to write about the image. Keys are those of Hugging
// Face's Florence2ForConditionalGeneration (transformers v4.57.1, models/florence2/modeling_florence2.py); [Keys] finds
// them in the files of Florence-2's authors, too.
//
// It does not do: boxes and polygons, whose tokens are left as text; training.
//
// Letters in shapes: B images, P positions of a map, M its width, S positions that are read, C width, V vocabulary.
package florence2

import (
	"encoding/json"
	"fmt"
	"math"

	"captioner/models/bart"
	"captioner/models/bert"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Config is the shape of what stands behind the vision encoder: what a model file holds as JSON.
type Config struct {
	Text      bart.Config `json:"text"`
	Image     int64       `json:"image_width"`     // M
	Side      int64       `json:"image_side"`      // most rows and columns of a map
	Times     int64       `json:"image_times"`     // of the table of frames, of which an image is the first
	ImageID   int32       `json:"image_token_id"`  // stands for a position of the image in what is read
	CleanUp   bool        `json:"clean_up_spaces"` // of the tokenizer
	LogitBias bool        `json:"logit_bias,omitempty"`
}

// visionConfig is what a vision_config says of the projection, in the names of Hugging Face and of the authors.
type visionConfig struct {
	Width    int64 `json:"projection_dim"`
	Side     int64 `json:"max_position_embeddings"`
	Times    int64 `json:"max_temporal_embeddings"`
	Position struct {
		Type string `json:"type"`
		Side int64  `json:"max_pos_embeddings"`
	} `json:"image_pos_embed"`
	Time struct {
		Type  string `json:"type"`
		Times int64  `json:"max_temporal_embeddings"`
	} `json:"visual_temporal_embedding"`
	Sources []string `json:"image_feature_source"`
}

// parseConfig reads a text_config and a vision_config. imageID is the top level's image_token_id.
func parseConfig(text, vision json.RawMessage, width int64, imageID *int32) (Config, error) {
	t, err := bart.ParseConfig(text)
	if err != nil {
		return Config{}, err
	}
	v := visionConfig{Width: 1024, Side: 50, Times: 100}
	if len(vision) > 0 {
		if err := json.Unmarshal(vision, &v); err != nil {
			return Config{}, fmt.Errorf("vision_config: %w", err)
		}
	}
	if v.Position.Side > 0 {
		v.Side = v.Position.Side
	}
	if v.Time.Times > 0 {
		v.Times = v.Time.Times
	}
	if err := v.check(t.Width); err != nil {
		return Config{}, fmt.Errorf("vision_config: %w", err)
	}
	c := Config{Text: t, Image: width, Side: v.Side, Times: v.Times, ImageID: int32(t.VocabSize)} // no text has that
	if imageID != nil {
		c.ImageID = *imageID
	}
	return c, c.check()
}

// check refuses what Florence-2's published models do not have.
func (v visionConfig) check(width int64) error {
	const spatial, temporal = "spatial_avg_pool", "temporal_avg_pool"
	switch s := v.Sources; {
	case v.Width != width:
		return fmt.Errorf("found projection_dim %d, want the d_model %d of text_config", v.Width, width)
	case v.Position.Type != "" && v.Position.Type != "learned_abs_2d":
		return fmt.Errorf("found image_pos_embed of type %q, want learned_abs_2d", v.Position.Type)
	case v.Time.Type != "" && v.Time.Type != "COSINE":
		return fmt.Errorf("found visual_temporal_embedding of type %q, want COSINE", v.Time.Type)
	case s != nil && (len(s) != 2 || s[0] != spatial || s[1] != temporal):
		return fmt.Errorf("found image_feature_source %q, want %q and %q", s, spatial, temporal)
	}
	return nil
}

// check reports sizes that do not fit each other.
func (c Config) check() error {
	if err := c.Text.Validate(); err != nil {
		return err
	}
	if c.Image < 2 || c.Side < 1 || c.Times < 1 {
		const message = "found a map of %d channels, positions for %d rows and %d times, want 2, 1 and 1 or more"
		return fmt.Errorf(message, c.Image, c.Side, c.Times)
	}
	return nil
}

// Model is what stands behind the vision encoder.
type Model struct {
	Config    Config
	Projector Projector     `key:"multi_modal_projector"`
	BART      *bart.Model   `key:"language_model"`
	Output    *torch.Tensor `key:"lm_head.weight"`    // [V, C]; nil: the table of tokens
	Bias      *torch.Tensor `key:"final_logits_bias"` // [1, V], or nil
}

// Projector makes of a map what the text side reads.
type Projector struct {
	Project nn.Linear     `key:"image_projection"` // [C, M]
	Norm    nn.LayerNorm  `key:"image_proj_norm"`
	Rows    *torch.Tensor `key:"image_position_embed.row_embeddings.weight"`    // [side, M/2]
	Columns *torch.Tensor `key:"image_position_embed.column_embeddings.weight"` // [side, M - M/2]
	Times   *torch.Tensor `key:"visual_temporal_embed.pos_idx_to_embed,buffer"` // [times, M]
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	text, err := bart.New(c.Text)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c, BART: text, Projector: Projector{
		Project: nn.NewLinear(c.Image, c.Text.Width, false), Norm: nn.NewLayerNorm(c.Text.Width, 1e-5),
		Rows: nn.NewParam(c.Side, c.Image/2), Columns: nn.NewParam(c.Side, c.Image-c.Image/2),
		Times: nn.NewParam(c.Times, c.Image),
	}}
	if c.Text.Untied {
		m.Output = nn.NewParam(c.Text.VocabSize, c.Text.Width)
	}
	if c.LogitBias {
		m.Bias = nn.NewParam(1, c.Text.VocabSize)
	}
	return m, nil
}

// Load fills the model from a checkpoint in the names of Keys.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// positions are what is added to a map of P positions, a square: where a position is, and that the image is the first
// frame: [P, M].
func (p *Projector) positions(n int64) *torch.Tensor {
	side := int64(math.Round(math.Sqrt(float64(n))))
	columns := p.Columns.Detach().To(torch.Float32).Narrow(0, 0, side)                           // [side, M/2]
	rows := p.Rows.Detach().To(torch.Float32).Narrow(0, 0, side)                                 // [side, M/2]
	x := columns.Unsqueeze(0).Expand(side, -1, -1)                                               // [rows, columns, M/2]
	y := rows.Unsqueeze(1).Expand(-1, side, -1)                                                  // [rows, columns, M/2]
	return torch.Cat(2, x, y).Flatten(0, 1).Add(p.Times.Detach().To(torch.Float32).Select(0, 0)) // [P, M]
}

// pool puts the mean of all positions before them: [B, P, M] to [B, 1+P, M].
func pool(x *torch.Tensor) *torch.Tensor { return torch.Cat(1, x.MeanDim(1, true), x) }

// Project gives what is read of maps x [B, P, M]: [B, 1+P, C].
func (m *Model) Project(x *torch.Tensor) *torch.Tensor {
	p := &m.Projector
	return p.Norm.Forward(p.Project.Forward(pool(x.Add(p.positions(x.Dim(1))))))
}

// head is the output layer.
func (m *Model) head() bert.Head {
	h := bert.Head{Words: m.BART.Tokens}
	if m.Output != nil {
		h.Words = m.Output
	}
	if m.Bias != nil {
		h.Bias = m.Bias.View(-1)
	}
	return h
}

// Logits gives the logits of the next token behind each of tokens [B, T] (int64): [B, T, V]. features [B, P, M] is the
// map, prompt [B, S] (int64) what is read behind it.
func (m *Model) Logits(features, prompt, tokens *torch.Tensor) *torch.Tensor {
	read := m.BART.Read(torch.Cat(1, m.Project(features), m.BART.Embed(prompt)))
	h := m.head()
	return h.Forward(m.BART.Write(tokens, read))
}
