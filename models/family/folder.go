package family

import (
	"captioner/data/tokenizer"
	"captioner/models/decode"
)

// Foldered is a Decoder for whose captioners Hugging Face's transformers has a class, which reads them from a folder.
type Foldered interface {
	Decoder
	// Folder describes the captioner c, whose model file holds tensors of these names.
	Folder(c Config, t tokenizer.Codec, names []string) (*Folder, error)
}

// Folder is a captioner as transformers reads it.
type Folder struct {
	Settings map[string]map[string]any // files of JSON by their names, "config.json" among them
	Texts    map[string][]byte         // other files by their names: those of the tokenizer
	// Key is the name there of a tensor of a model file; false leaves the tensor out.
	Key func(name string) (key string, ok bool)
}

// Settings are d as generate takes them: the way back from ReadGeneration. Tokens that begin and end a caption are not
// among them.
func (d Decoding) Settings() map[string]any {
	out := map[string]any{}
	set := func(name string, v any, said bool) {
		if said {
			out[name] = v
		}
	}
	set("num_beams", d.Beam, d.Beam > 1)
	set("length_penalty", d.LengthPenalty, d.Beam > 1 && d.LengthPenalty != 1)
	set("no_repeat_ngram_size", d.NoRepeatNGram, d.NoRepeatNGram > 0)
	set("repetition_penalty", d.Repetition, d.Repetition != 0 && d.Repetition != 1)
	set("early_stopping", true, d.EarlyStopping == decode.StopTrue)
	set("early_stopping", d.EarlyStopping, d.EarlyStopping == decode.StopNever)
	ofAll := d.MaxLenOfAll && d.MaxLen+1 != usualLength // which stands for so many new tokens
	set("max_length", d.MaxLen+1, ofAll)                // with the begin token
	set("max_new_tokens", d.MaxLen, !ofAll && d.MaxLen != usualLength)
	set("min_length", d.MinLen+1, d.MinLen > 0 && d.MinLenOfAll)
	set("min_new_tokens", d.MinLen, d.MinLen > 0 && !d.MinLenOfAll)
	p := d.Processors
	words := append(append([][]int32{}, d.Ban...), p.BadWords...)
	set("bad_words_ids", words, len(words) > 0)
	set("encoder_no_repeat_ngram_size", p.EncoderNoRepeat, p.EncoderNoRepeat > 0)
	set("encoder_repetition_penalty", p.EncoderRepetition, p.EncoderRepetition != 0 && p.EncoderRepetition != 1)
	set("forced_eos_token_id", p.ForcedLast, len(p.ForcedLast) > 0)
	set("suppress_tokens", p.Suppress, len(p.Suppress) > 0)
	set("begin_suppress_tokens", p.BeginSuppress, len(p.BeginSuppress) > 0)
	set("renormalize_logits", true, p.Renormalize)
	if len(p.ForcedFirst) > 0 {
		out["forced_bos_token_id"] = p.ForcedFirst[0]
	}
	if p.Decay != nil {
		out["exponential_decay_length_penalty"] = []any{p.Decay.From, p.Decay.Factor}
	}
	var bias []any
	for _, b := range p.Bias {
		bias = append(bias, []any{b.Tokens, b.Add})
	}
	set("sequence_bias", bias, len(bias) > 0)
	return out
}
