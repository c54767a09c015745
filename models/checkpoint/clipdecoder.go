package checkpoint

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"captioner/models/crossgpt2"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/weights"
	"captioner/weights/pickle"
)

// clipDecoder is what a file of the Python package clip-text-decoder, or a checkpoint of a model of its kind, says
// beside its tensors. A field is zero where it does not say.
type clipDecoder struct {
	encoder   string // as the package names it: "clip:ViT-B/32", "blip:base"
	config    *gpt2.Config
	tokenizer any // its record in the pickle
}

// openClipDecoder describes a checkpoint that holds GPT-2 with cross-attention, as clip-text-decoder 1.1 to 1.4.4 saves
// and trains it: pickled inference models, Lightning's checkpoints, and state dicts.
func openClipDecoder(f family.Files) (*family.Captioner, error) {
	var d clipDecoder
	if p, ok := f.Source.(*pickle.File); ok {
		var err error
		if d, err = readClipDecoder(p); err != nil {
			return nil, err
		}
	}
	named, err := gpt2.Keys(f.Source)
	if err != nil {
		return nil, err
	}
	var headless error
	if d.config, headless, err = completeConfig(f, named, d.config); err != nil {
		return nil, err
	}
	if !d.config.CrossAttention {
		return nil, errBlind
	}
	if err := gpt2.CheckTied(named, ""); err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(f.Path), filepath.Ext(f.Path))
	c := &family.Captioner{
		Config: family.Config{
			Name: name, Decoder: crossgpt2.Decoder{Config: *d.config},
			Decoding: family.Decoding{Rule: decode.ClipDecoder, Beam: 1, MaxLen: min(64, int(d.config.Positions))},
		},
		Card: family.UnknownCard(name, d.encoder),
	}
	vision, err := f.Encoders.Published(d.encoder)
	if err != nil {
		return nil, err
	}
	if err := c.ExpectEncoder(vision, encoder.PooledPadded); err != nil {
		return nil, err
	}
	if c.Source, err = gpt2Tensors(named); err != nil {
		return nil, err
	}
	if c.Tokenizer, err = checkpointTokenizer(d.tokenizer, f.Beside, d.config.VocabSize); err != nil {
		return nil, err
	}
	return c, headless
}

// completeConfig is the sizes of a decoder: those that the checkpoint says itself, or those of the weights with what
// these do not say, the settings of the config.json beside the checkpoint where that is one of the same sizes, and the
// heads that the user gave. Headless says why there is no number of heads, and the sizes have one for the time being.
func completeConfig(f family.Files, named weights.Source, own *gpt2.Config) (c *gpt2.Config, headless, err error) {
	var net gpt2.Config
	var said, usual int64
	if own != nil {
		net, said = *own, own.Heads
	} else {
		if net, err = gpt2.ConfigOf(named); err != nil {
			return nil, nil, err
		}
		usual = net.Heads
		if config, ok := sameSizes(f.Beside, net); ok {
			net, said = config, config.Heads
		}
	}
	if net.Heads, headless = f.DecoderHeads(net.Width, said, usual); headless != nil {
		net.Heads = 1
	}
	return &net, headless, net.Validate()
}

// sameSizes is the config.json of a folder, where it is that of a GPT-2 of the same sizes.
func sameSizes(beside encoder.Folder, net gpt2.Config) (gpt2.Config, bool) {
	b, err := beside.Read("config.json")
	if err != nil {
		return net, false
	}
	said, err := gpt2.ParseConfig(b)
	if err != nil || said.Layers != net.Layers || said.Width != net.Width || said.VocabSize != net.VocabSize ||
		said.Positions != net.Positions {
		return net, false
	}
	said.CrossAttention = net.CrossAttention
	return said, true
}

func hasPrefix(src weights.Source, prefixes ...string) bool {
	for _, n := range src.Names() {
		for _, p := range prefixes {
			if strings.HasPrefix(n, p) {
				return true
			}
		}
	}
	return false
}

// readClipDecoder looks into the objects of a pickle.
func readClipDecoder(p *pickle.File) (clipDecoder, error) {
	var o clipDecoder
	switch root := p.Root.(type) {
	case *pickle.Record:
		module := root
		if inner, ok := pickle.Follow[*pickle.Record](root, "model"); ok { // …InferenceModel
			module = inner
			o.tokenizer, _ = root.Attr("tokenizer")
		}
		if strings.HasSuffix(module.Name, "ClipDecoder") {
			o.encoder = "ViT-B/32"
		}
		if name, ok := pickle.Follow[string](module, "vision_backbone"); ok {
			o.encoder = name
		}
		var err error
		o.config, err = decoderConfig(module)
		return o, err
	case *pickle.Dict:
		params, _ := root.Get("hyper_parameters")
		if r, ok := params.(*pickle.Record); ok && r.Entries != nil { // Lightning's AttributeDict
			params = r.Entries
		}
		if d, ok := params.(*pickle.Dict); ok {
			name, _ := d.Get("vision_backbone")
			o.encoder, _ = name.(string)
		}
	}
	if o.encoder == "" && hasPrefix(p, "gpt.", "model.gpt.", "state_dict.gpt.") {
		o.encoder = "ViT-B/32" // all that ClipDecoder of 1.1 to 1.3 works with
	}
	return o, nil
}

// decoderConfig reads the settings that a pickled GPT2LMHeadModel inside module carries, nil where there are none.
func decoderConfig(module *pickle.Record) (*gpt2.Config, error) {
	inside, _ := pickle.Follow[*pickle.Dict](module, "_modules")
	if inside == nil {
		return nil, nil
	}
	for _, v := range inside.All() {
		r, ok := v.(*pickle.Record)
		if !ok || r.Name != "GPT2LMHeadModel" {
			continue
		}
		config, ok := pickle.Follow[*pickle.Record](r, "config")
		if !ok {
			return nil, nil
		}
		settings, _ := config.State.(*pickle.Dict)
		if settings == nil {
			return nil, nil
		}
		plain := map[string]any{}
		for k, v := range settings.All() {
			switch v.(type) {
			case nil, bool, int64, float64, string:
				if k, ok := k.(string); ok {
					plain[k] = v
				}
			}
		}
		b, err := json.Marshal(plain)
		if err != nil {
			return nil, fmt.Errorf("read the decoder's config: %w", err)
		}
		c, err := gpt2.ParseConfig(b)
		return &c, err
	}
	return nil, nil
}
