package family

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"captioner/models/decode"
	"captioner/models/encoder"
)

// generation are the settings of generate that matter here.
type generation struct {
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

// ReadGeneration is how a model of Hugging Face is generated from: by generation_config.json, or, in older folders, by
// config.json and, for what that leaves out, the section of its decoder. A text has at most so many positions.
func ReadGeneration(beside encoder.Folder, positions int64) (Decoding, error) {
	g := generation{Beams: 1, MaxLength: 20, Penalty: 1, Groups: 1, Repetition: 1}
	name := "generation_config.json"
	err := encoder.ReadJSON(beside, name, &g)
	if errors.Is(err, fs.ErrNotExist) {
		name = "config.json"
		old := struct {
			Decoder *generation `json:"decoder"`
		}{&g}
		if err = encoder.ReadJSON(beside, name, &old); err == nil {
			err = encoder.ReadJSON(beside, name, &g)
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

// decoding says the same as a Decoding. Lengths there count the begin token.
func (g generation) decoding(positions int) (Decoding, error) {
	if g.Sample || g.Groups > 1 || g.Repetition != 1 {
		const found = "found do_sample %v, num_beam_groups %d and repetition_penalty %g, "
		const want = "want a search without any: take them out of the file for it"
		return Decoding{}, fmt.Errorf(found+want, g.Sample, g.Groups, g.Repetition)
	}
	d := Decoding{
		Beam: max(g.Beams, 1), LengthPenalty: g.Penalty, NoRepeatNGram: max(g.NoRepeat, 0),
		MaxLen: g.MaxLength - 1, MinLen: max(g.MinLength-1, 0), Begin: g.Begin,
	}
	if g.MaxNew > 0 {
		d.MaxLen = g.MaxNew
	}
	d.MaxLen = min(max(d.MaxLen, 1), positions)
	if d.MinLen >= d.MaxLen {
		return d, fmt.Errorf(
			"found min_length %d, want less than the %d tokens of the longest caption",
			g.MinLength,
			d.MaxLen,
		)
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
