package captioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/weights"
)

// openEncoderDecoder makes a captioner of a VisionEncoderDecoderModel: its encoder's last_hidden_state, through enc_to_dec_proj where the widths
// differ, is the decoder's memory. f owns src.
func openEncoderDecoder(dir string, src weights.Source, c folderConfig) (*File, error) {
	d, err := gpt2.ParseConfig(c.Decoder)
	if err != nil {
		return nil, fmt.Errorf("read config.json: decoder: %w", err)
	}
	f := &File{Path: dir, Config: Config{Name: filepath.Base(filepath.Clean(dir)), Decoder: d}}
	f.Card = Card{Name: f.Config.Name, Data: "not told by the checkpoint", Licence: "not told by the checkpoint"}
	if err := f.takeDecoder(dir, src); err != nil {
		return nil, err
	}
	eye, err := f.faceEye(dir, src, c.Encoder)
	if err != nil {
		return nil, err
	}
	if f.Config.Decoding, err = faceDecoding(dir, d.Positions); err != nil {
		return nil, err
	}
	memory, err := weights.Rename(src, weights.Prefix("enc_to_dec_proj.", "memory.project."))
	if err != nil {
		return nil, err
	}
	if f.src, err = weights.Join(f.src, memory, eye); err != nil {
		return nil, err
	}
	return f, f.Config.Validate()
}

// faceEye describes the encoder inside a VisionEncoderDecoderModel and shows its tensors as a model file has them.
func (f *File) faceEye(dir string, src weights.Source, config json.RawMessage) (weights.Source, error) {
	var e struct {
		ModelType string `json:"model_type"`
	}
	if err := json.Unmarshal(config, &e); err != nil {
		return nil, fmt.Errorf("read config.json: encoder: %w", err)
	}
	inner, err := weights.Rename(src, weights.Prefix("encoder.", ""))
	if err != nil {
		return nil, err
	}
	p, err := recognise(dir, inner)
	if err != nil {
		return nil, fmt.Errorf("read config.json: encoder of the type %q: %w", e.ModelType, err)
	}
	beside := encoder.Inner(encoder.Dir(dir), config)
	if err := encoders.Configure(&p.Config, beside); err != nil {
		return nil, fmt.Errorf("encoder: %w", err)
	}
	if err := p.Config.ReadProcessor(beside); err != nil {
		return nil, err
	}
	f.Config.Encoder, f.Card.Encoder = p.Config, p.Config.Architecture
	if f.Config.Memory, err = encoder.NewMemory(p.Config, encoder.Tokens, 0); err != nil {
		return nil, err
	}
	return p.src, nil
}

// faceGeneration are the settings of generate that matter here.
type faceGeneration struct {
	Beams         int             `json:"num_beams"`
	MaxLength     int             `json:"max_length"`
	MaxNew        int             `json:"max_new_tokens"`
	MinLength     int             `json:"min_length"`
	Penalty       float64         `json:"length_penalty"`
	NoRepeat      int             `json:"no_repeat_ngram_size"`
	EarlyStopping json.RawMessage `json:"early_stopping"`
	Start         *int32          `json:"decoder_start_token_id"`
	Begin         *int32          `json:"bos_token_id"`
	End           json.RawMessage `json:"eos_token_id"`

	Sample     bool    `json:"do_sample"`
	Groups     int     `json:"num_beam_groups"`
	Repetition float64 `json:"repetition_penalty"`
}

// faceDecoding is how the model is generated from where nobody says otherwise: the settings of generation_config.json, or, in older folders, those
// of config.json and, for what these leave out, of the decoder inside.
func faceDecoding(dir string, positions int64) (Decoding, error) {
	g := faceGeneration{Beams: 1, MaxLength: 20, Penalty: 1, Groups: 1, Repetition: 1}
	name := "generation_config.json"
	err := readJSON(filepath.Join(dir, name), &g)
	if errors.Is(err, os.ErrNotExist) {
		name = "config.json"
		old := struct {
			Decoder *faceGeneration `json:"decoder"`
		}{&g}
		if err = readJSON(filepath.Join(dir, name), &old); err == nil {
			err = readJSON(filepath.Join(dir, name), &g)
		}
	}
	if err != nil {
		return Decoding{}, err
	}
	d, err := g.decoding(int(positions))
	if err != nil {
		return d, fmt.Errorf("read %s: %w", name, err)
	}
	return d, nil
}

// decoding says the same in our words. Lengths there count the begin token.
func (g faceGeneration) decoding(positions int) (Decoding, error) {
	if g.Sample || g.Groups > 1 || g.Repetition != 1 {
		return Decoding{}, fmt.Errorf("found do_sample %v, num_beam_groups %d and repetition_penalty %g, want a search without any: take them out of the file for it",
			g.Sample, g.Groups, g.Repetition)
	}
	d := Decoding{Beam: max(g.Beams, 1), LengthPenalty: g.Penalty, NoRepeatNGram: max(g.NoRepeat, 0), MaxLen: g.MaxLength - 1, MinLen: max(g.MinLength-1, 0),
		Begin: g.Begin}
	if g.MaxNew > 0 {
		d.MaxLen = g.MaxNew
	}
	d.MaxLen = min(max(d.MaxLen, 1), positions)
	if d.MinLen >= d.MaxLen {
		return d, fmt.Errorf("found min_length %d, want less than the %d tokens of the longest caption", g.MinLength, d.MaxLen)
	}
	if g.Start != nil {
		d.Begin = g.Start
	}
	if len(g.End) > 0 && string(g.End) != "null" {
		var one int32
		var several []int32
		switch {
		case json.Unmarshal(g.End, &one) == nil:
		case json.Unmarshal(g.End, &several) == nil && len(several) == 1:
			one = several[0]
		default:
			return d, fmt.Errorf("found the end tokens %s, want one", encoder.Spell(g.End))
		}
		d.End = &one
	}
	switch stop := strings.Trim(string(g.EarlyStopping), `"`); stop {
	case "", "null", decode.StopFalse:
		d.EarlyStopping = decode.StopFalse
	case decode.StopTrue, decode.StopNever:
		d.EarlyStopping = stop
	default:
		return d, fmt.Errorf("found early_stopping %s, want false, true or \"never\"", encoder.Spell(g.EarlyStopping))
	}
	return d, nil
}
