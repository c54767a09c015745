package family

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"captioner/models/decode"
	"captioner/models/encoder"
)

// generation are the settings of generate that change what a search finds.
type generation struct {
	Beams         int             `json:"num_beams"`
	MaxLength     int             `json:"max_length"`
	MaxNew        int             `json:"max_new_tokens"`
	MinLength     int             `json:"min_length"`
	MinNew        int             `json:"min_new_tokens"`
	Penalty       float64         `json:"length_penalty"`
	NoRepeat      int             `json:"no_repeat_ngram_size"`
	Repetition    float64         `json:"repetition_penalty"`
	EarlyStopping json.RawMessage `json:"early_stopping"`
	Start         *int32          `json:"decoder_start_token_id"`
	Begin         *int32          `json:"bos_token_id"`
	End           json.RawMessage `json:"eos_token_id"`
	BadWords      [][]int32       `json:"bad_words_ids"`
	Suppress      []int32         `json:"suppress_tokens"`
}

// refused are the settings of generate that change what it finds and that this program does not have, each with the
// values that change nothing.
var refused = []struct {
	name    string
	neutral []string
}{
	{"do_sample", []string{"false"}},
	{"num_beam_groups", []string{"1"}},
	{"num_return_sequences", []string{"1"}},
	{"diversity_penalty", []string{"0", "0.0"}},
	{"encoder_repetition_penalty", []string{"1", "1.0"}},
	{"encoder_no_repeat_ngram_size", []string{"0"}},
	{"penalty_alpha", nil},
	{"dola_layers", nil},
	{"force_words_ids", nil},
	{"constraints", nil},
	{"renormalize_logits", []string{"false"}},
	{"forced_bos_token_id", nil},
	{"forced_eos_token_id", nil},
	{"forced_decoder_ids", nil},
	{"exponential_decay_length_penalty", nil},
	{"begin_suppress_tokens", nil},
	{"sequence_bias", nil},
	{"guidance_scale", []string{"1", "1.0"}},
	{"stop_strings", nil},
	{"max_time", nil},
	{"token_healing", []string{"false"}},
	{"watermarking_config", nil},
}

// An UnsupportedSettingError names a setting of generate that this program does not have.
type UnsupportedSettingError struct{ Name, Value string }

func (e *UnsupportedSettingError) Error() string {
	const message = "found %s %s, a setting of generate that changes its captions and is not supported"
	return fmt.Sprintf(message, e.Name, e.Value)
}

// Hint says what to do about it.
func (e *UnsupportedSettingError) Hint() string {
	return "take it out of the file to caption without it"
}

// refuse reports the first setting that is not supported.
func refuse(settings map[string]json.RawMessage) error {
	for _, r := range refused {
		value := encoder.Spell(settings[r.name])
		if value == "none" || value == "null" || value == "[]" || slices.Contains(r.neutral, value) {
			continue
		}
		return &UnsupportedSettingError{r.name, value}
	}
	return nil
}

// usualLength is the max_length of a GenerationConfig that says none. generate takes it for so many new tokens, and
// every other number for all tokens, with those that a text begins with.
const usualLength = 20

// ReadGeneration is how a model of Hugging Face is generated from: by generation_config.json, or, in older folders, by
// config.json and, for what that leaves out, the section of its decoder. A text has at most so many positions.
func ReadGeneration(beside encoder.Folder, positions int64) (Decoding, error) {
	g := generation{Beams: 1, MaxLength: usualLength, Penalty: 1, Repetition: 1}
	name, all := "generation_config.json", map[string]json.RawMessage{}
	err := encoder.ReadJSON(beside, name, &all)
	if errors.Is(err, fs.ErrNotExist) {
		name = "config.json"
		old := struct {
			Decoder map[string]json.RawMessage `json:"decoder"`
		}{map[string]json.RawMessage{}}
		if err = encoder.ReadJSON(beside, name, &old); err == nil {
			err = encoder.ReadJSON(beside, name, &all)
		}
		for key, value := range old.Decoder {
			if _, ok := all[key]; !ok {
				all[key] = value
			}
		}
	}
	if err != nil {
		return Decoding{}, err
	}
	d, err := g.read(all, int(positions))
	if err != nil {
		return d, fmt.Errorf("read %s: %w", name, err)
	}
	return d, nil
}

// read takes the settings that are there.
func (g generation) read(settings map[string]json.RawMessage, positions int) (Decoding, error) {
	if err := refuse(settings); err != nil {
		return Decoding{}, err
	}
	text, err := json.Marshal(settings)
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		return Decoding{}, err
	}
	return g.decoding(positions)
}

// decoding says the same as a Decoding. Lengths there count the begin token.
func (g generation) decoding(positions int) (Decoding, error) {
	d := Decoding{
		Beam: max(g.Beams, 1), LengthPenalty: g.Penalty, NoRepeatNGram: max(g.NoRepeat, 0),
		MaxLen: g.MaxLength - 1, MinLen: max(g.MinLength-1, 0), Begin: g.Begin, Ban: g.BadWords,
	}
	for _, id := range g.Suppress {
		d.Ban = append(d.Ban, []int32{id})
	}
	if g.Repetition != 1 {
		d.Repetition = g.Repetition
	}
	if g.MaxLength == usualLength {
		d.MaxLen = usualLength
	}
	if g.MaxNew > 0 {
		d.MaxLen = g.MaxNew
	}
	d.MinLen = max(d.MinLen, g.MinNew)
	d.MaxLen = min(max(d.MaxLen, 1), positions)
	if d.MinLen >= d.MaxLen {
		const message = "found min_length %d, want less than the %d tokens of the longest caption"
		return d, fmt.Errorf(message, g.MinLength, d.MaxLen)
	}
	if g.Start != nil {
		d.Begin = g.Start
	}
	if len(g.End) > 0 && string(g.End) != "null" {
		var one int32
		var several []int32
		switch {
		case json.Unmarshal(g.End, &one) == nil:
		case json.Unmarshal(g.End, &several) == nil && len(several) > 0:
			one, d.Ends = several[0], several[1:]
		default:
			return d, fmt.Errorf("found the end tokens %s, want one or more", encoder.Spell(g.End))
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
