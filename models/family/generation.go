package family

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
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
	MinNew        *int            `json:"min_new_tokens"`
	Penalty       float64         `json:"length_penalty"`
	NoRepeat      int             `json:"no_repeat_ngram_size"`
	Repetition    float64         `json:"repetition_penalty"`
	EarlyStopping json.RawMessage `json:"early_stopping"`
	Start         *int32          `json:"decoder_start_token_id"`
	Begin         *int32          `json:"bos_token_id"`
	End           tokenList       `json:"eos_token_id"`

	EncoderRepetition float64             `json:"encoder_repetition_penalty"`
	EncoderNoRepeat   int                 `json:"encoder_no_repeat_ngram_size"`
	BadWords          [][]int32           `json:"bad_words_ids"`
	Bias              []sequenceBias      `json:"sequence_bias"`
	ForcedFirst       *int32              `json:"forced_bos_token_id"`
	ForcedLast        tokenList           `json:"forced_eos_token_id"`
	Decay             *exponentialPenalty `json:"exponential_decay_length_penalty"`
	Suppress          []int32             `json:"suppress_tokens"`
	BeginSuppress     []int32             `json:"begin_suppress_tokens"`
	Renormalize       bool                `json:"renormalize_logits"`
}

// tokenList is one token or a list.
type tokenList []int32

// UnmarshalJSON reads either.
func (l *tokenList) UnmarshalJSON(b []byte) error {
	var one *int32
	if json.Unmarshal(b, &one) == nil {
		if *l = nil; one != nil {
			*l = tokenList{*one}
		}
		return nil
	}
	var several []int32
	if json.Unmarshal(b, &several) != nil || len(several) == 0 {
		return fmt.Errorf("found the tokens %s, want one or more numbers", encoder.Spell(b))
	}
	*l = several
	return nil
}

// sequenceBias is a run of tokens and what is added to the score of its last one.
type sequenceBias decode.Bias

// UnmarshalJSON reads [[4, 5], -10.0].
func (s *sequenceBias) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &[]any{&s.Tokens, &s.Add}); err != nil || len(s.Tokens) == 0 {
		return fmt.Errorf("found the sequence_bias %s, want a list of tokens and a number", encoder.Spell(b))
	}
	return nil
}

// exponentialPenalty is a number of tokens and a factor.
type exponentialPenalty decode.Decay

// UnmarshalJSON reads [15, 1.6].
func (p *exponentialPenalty) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &[]any{&p.From, &p.Factor}); err != nil || !(p.Factor > 0) {
		const message = "found exponential_decay_length_penalty %s, want a number of tokens and a factor above 0"
		return fmt.Errorf(message, encoder.Spell(b))
	}
	return nil
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
	{"penalty_alpha", nil},
	{"dola_layers", nil},
	{"force_words_ids", nil},
	{"constraints", nil},
	{"forced_decoder_ids", nil},
	{"guidance_scale", []string{"1", "1.0"}},
	{"stop_strings", nil},
	{"max_time", nil},
	{"token_healing", []string{"false"}},
	{"cache_implementation", []string{`"dynamic"`, `"static"`, `"hybrid"`, `"offloaded"`, `"offloaded_static"`}},
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

// Usual is what a family's captions are where no file says: the numbers of its class of configuration.
type Usual struct {
	Length  int               // the most tokens; 0 is 20
	Older   map[string]string // JSON of settings that the section of the decoder in a config.json need not say
	NoStart bool              // decoder_start_token_id begins no caption, for generate asks encoder-decoders alone
}

// ReadGeneration is how a model of Hugging Face is generated from: by generation_config.json, or, in older folders, by
// config.json and, for what that leaves out, the section of its decoder. A text has at most so many positions.
func ReadGeneration(beside encoder.Folder, positions int64) (Decoding, error) {
	return Usual{}.ReadGeneration(beside, positions)
}

// ReadGeneration is the function of that name for a family with numbers of its own.
func (u Usual) ReadGeneration(beside encoder.Folder, positions int64) (Decoding, error) {
	g := generation{Beams: 1, MaxLength: usualLength, Penalty: 1, Repetition: 1, EncoderRepetition: 1}
	name, settings := "generation_config.json", map[string]json.RawMessage{}
	err := encoder.ReadJSON(beside, name, &settings)
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return Decoding{}, err
	}
	if older, err := readLegacy(beside); err != nil && (absent || !errors.Is(err, fs.ErrNotExist)) {
		return Decoding{}, err
	} else if absent || older.replaces(settings) {
		name, settings = "config.json", older.merged(u.Older)
	}
	if u.NoStart {
		delete(settings, "decoder_start_token_id")
	}
	length := usualLength
	if _, ok := said(settings["max_length"]); !ok {
		length = cmp.Or(u.Length, usualLength)
	}
	d, err := g.read(settings, int(positions), length)
	if err != nil {
		return d, fmt.Errorf("read %s: %w", name, err)
	}
	return d, nil
}

// read takes the settings that are there.
func (g generation) read(settings map[string]json.RawMessage, positions, length int) (Decoding, error) {
	if err := refuse(settings); err != nil {
		return Decoding{}, err
	}
	text, err := json.Marshal(settings)
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		name, _, _ := strings.Cut(kind.Field, ".")
		return Decoding{}, fmt.Errorf("found %s %s, want %s", name, encoder.Spell(settings[name]), wanted(kind.Type))
	}
	if err != nil {
		return Decoding{}, err
	}
	return g.decoding(positions, length)
}

// wanted says in words what JSON of a type is.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "a whole number"
}

// decoding says the same as a Decoding. Lengths there do not count the begin token.
func (g generation) decoding(positions, length int) (Decoding, error) {
	d := Decoding{
		Beam: max(g.Beams, 1), LengthPenalty: g.Penalty, NoRepeatNGram: max(g.NoRepeat, 0), Begin: g.Begin,
		Processors: g.processors(),
	}
	if g.Repetition != 1 {
		d.Repetition = g.Repetition
	}
	switch {
	case g.MaxNew > 0:
		d.MaxLen = g.MaxNew
	case g.MaxLength == usualLength:
		d.MaxLen = length
	default:
		d.MaxLen, d.MaxLenOfAll = g.MaxLength-1, true
	}
	switch {
	case g.MinNew != nil: // 0 too takes the place of min_length
		d.MinLen = max(*g.MinNew, 0)
	case g.MinLength > 1:
		d.MinLen, d.MinLenOfAll = g.MinLength-1, true
	}
	d.MaxLen = min(max(d.MaxLen, 1), positions)
	d.MinLen = min(d.MinLen, d.MaxLen) // generate warns, and writes captions of that length
	if g.Start != nil {
		d.Begin = g.Start
	}
	if len(g.End) > 0 {
		d.End = &g.End[0]
		if len(g.End) > 1 {
			d.Ends = g.End[1:]
		}
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

// processors are the settings that no field of a Decoding stands for.
func (g generation) processors() decode.Processors {
	p := decode.Processors{
		BadWords: g.BadWords, EncoderNoRepeat: max(g.EncoderNoRepeat, 0), ForcedLast: g.ForcedLast,
		Suppress: g.Suppress, BeginSuppress: g.BeginSuppress,
		Scores: decode.Scores{Decay: (*decode.Decay)(g.Decay), Renormalize: g.Renormalize},
	}
	if g.EncoderRepetition != 1 {
		p.EncoderRepetition = g.EncoderRepetition
	}
	if g.ForcedFirst != nil {
		p.ForcedFirst = []int32{*g.ForcedFirst}
	}
	for _, b := range g.Bias {
		p.Bias = append(p.Bias, decode.Bias(b))
	}
	return p
}
