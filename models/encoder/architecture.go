package encoder

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"captioner/weights"
	"captioner/weights/plural"
)

// Architecture is a kind of vision encoder: a row of the table in package checkpoint.
type Architecture struct {
	Name  string // for people: "CLIP"
	Key   string // of its sizes in the JSON of a model file: "clip"
	Parse func(sizes json.RawMessage) (Encoder, error)

	// Classes are those of Hugging Face whose checkpoints Open reads, so that a repository can be refused before its
	// weights are fetched. None: a model_type that is Key.
	Classes []Class

	// Kin are networks that are taken for this one and are refused by name.
	Kin []Kin

	// Recognize says whether src holds a published checkpoint of this architecture, by the names of its tensors. Rows are
	// asked in the order of the table.
	Recognize func(src weights.Source) bool
	// Open describes a published checkpoint and shows its tensors under Prefix. The number of heads of an Attention is
	// what is usual for its width, or 0. The view owns src; after an error the caller does.
	Open func(src weights.Source) (Config, weights.Source, error)
	// Configure takes from the config.json beside Hugging Face's weights what the weights do not say. Nil: there is
	// nothing to take, and the folder's preprocessor is not read either.
	Configure func(c *Config, beside Folder) error
	// Activate sets the activation of a network, where that is not told by its weights. Nil: it has one alone.
	Activate func(c *Config, activation string)
	// Published describes an encoder by the name that clip-text-decoder has for it: "ViT-B/32", "blip:base". It reports
	// false for other names. Nil: that package knows none.
	Published func(name string) (Config, bool)
}

// Class is a kind of network as config.json names it.
type Class struct {
	ModelType string   // "blip"; of an open_clip_config.json "open_clip", or "coca" where it describes a captioner
	Names     []string // what "architectures" may list: "BlipForConditionalGeneration"; none: anything
}

// Parse reads the sizes of an encoder from JSON.
func Parse[E Encoder](sizes json.RawMessage) (Encoder, error) {
	var e E
	err := json.Unmarshal(sizes, &e)
	return e, err
}

// Table is the architectures that are known, in the order in which they are asked whether a checkpoint is theirs.
type Table []Architecture

// Open finds the architecture whose published checkpoint src is, and opens it. The files beside it describe it: for
// certain where own is set, else where they tell of the same sizes. Heads are what a user says of it.
func (t Table) Open(src weights.Source, beside Folder, own bool, h *Heads) (Config, weights.Source, error) {
	modelType := ""
	if own {
		modelType = modelTypeOf(beside)
	}
	if err := t.Kin(modelType, src); err != nil {
		return Config{}, nil, err
	}
	for _, a := range t {
		if !a.Recognize(src) {
			continue
		}
		c, named, err := a.Open(src)
		if err == nil {
			err = a.Complete(&c, beside, own, h, EncoderPart)
		}
		return c, named, err
	}
	return Config{}, nil, &UnknownError{len(src.Names()), modelType, t.Names()}
}

// An UnknownError says that tensors are those of no encoder in the table.
type UnknownError struct {
	Tensors   int
	ModelType string // of the config.json beside them; "" where there is none
	Known     string // the architectures that are known
}

func (e *UnknownError) Error() string {
	none := "no encoder that this version knows"
	if e.ModelType != "" {
		none += fmt.Sprintf(" (model_type %q)", e.ModelType)
	}
	return fmt.Sprintf("found %d tensors of %s, want a checkpoint of %s", e.Tensors, none, e.Known)
}

// Names lists the architectures for people.
func (t Table) Names() string {
	var names []string
	for _, a := range t {
		names = append(names, a.Name)
	}
	return plural.Or(names)
}

// Published describes the encoder that clip-text-decoder calls by a name. An empty name gives an empty Config.
func (t Table) Published(name string) (Config, error) {
	if name == "" {
		return Config{}, nil
	}
	for _, a := range t {
		if a.Published == nil {
			continue
		}
		if c, ok := a.Published(name); ok {
			return c, nil
		}
	}
	return Config{}, fmt.Errorf("encoder: found the name %q, want one of CLIP's or blip:base", name)
}

// Knows says whether the checkpoints of a row have this model_type.
func (t Table) Knows(modelType string) bool {
	return slices.ContainsFunc(t, func(a Architecture) bool {
		return slices.ContainsFunc(a.Classes, func(c Class) bool { return c.ModelType == modelType }) ||
			a.Classes == nil && a.Key == modelType
	})
}

// Complete corrects an encoder's description by the files of Hugging Face beside its weights, and settles its number
// of heads, which h has under p. See Table.Open.
func (a Architecture) Complete(c *Config, beside Folder, own bool, h *Heads, p Part) error {
	e, attends := c.Encoder.(Attention)
	var usual, width int64
	if attends {
		usual, width = e.HeadCount()
		c.Encoder = e.WithHeads(0)
	}
	var foreign error // why the files are those of another model
	if a.Configure != nil && (own || describes(beside)) {
		before := *c
		err := a.Configure(c, beside)
		if err == nil {
			err = c.ReadProcessor(beside)
		}
		if err != nil && own {
			return err
		}
		if err != nil {
			*c, foreign = before, err
		}
	}
	if err := a.settleActivation(c, h, p); err != nil {
		return err
	}
	if attends {
		said, _ := c.Encoder.(Attention).HeadCount()
		n, err := h.Choose(p, width, said, usual)
		var unknown *HeadsUnknownError
		if errors.As(err, &unknown) {
			unknown.Beside = foreign
		}
		if err != nil {
			return err
		}
		c.Encoder = c.Encoder.(Attention).WithHeads(n)
	}
	return c.Validate()
}

// modelTypeOf is the model_type of the config.json of a folder; "" where it has none.
func modelTypeOf(beside Folder) string {
	var config struct {
		ModelType string `json:"model_type"`
	}
	if beside == nil || ReadJSON(beside, "config.json", &config) != nil {
		return "" // whoever reads the whole of it says what is wrong
	}
	return config.ModelType
}

// describes says whether the config.json of a folder is one of a vision transformer, or OpenCLIP's file is there.
func describes(beside Folder) bool {
	var open struct {
		Model struct {
			Vision json.RawMessage `json:"vision_cfg"`
		} `json:"model_cfg"`
	}
	if beside != nil && ReadJSON(beside, "open_clip_config.json", &open) == nil && open.Model.Vision != nil {
		return true
	}
	var config struct {
		Width  json.RawMessage `json:"hidden_size"`
		Patch  json.RawMessage `json:"patch_size"`
		Vision struct {
			Width json.RawMessage `json:"hidden_size"`
			Patch json.RawMessage `json:"patch_size"`
		} `json:"vision_config"`
	}
	if beside == nil || ReadJSON(beside, "config.json", &config) != nil {
		return false
	}
	return config.Width != nil && config.Patch != nil || config.Vision.Width != nil && config.Vision.Patch != nil
}

// Resolve finds the architecture of a description that was read from JSON, and reads its sizes.
func (t Table) Resolve(c *Config) error {
	for _, a := range t {
		sizes, ok := c.unresolved[a.Key]
		if !ok {
			continue
		}
		if c.Encoder != nil {
			return errors.New("encoder: found two architectures, want one")
		}
		e, err := a.Parse(sizes)
		if err != nil {
			return fmt.Errorf("encoder: %s: %w", a.Key, err)
		}
		c.Encoder = e
	}
	c.unresolved = nil
	return nil
}
