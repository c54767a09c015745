package family

import (
	"slices"

	"captioner/data/tokenizer"
	"captioner/models/decode"
)

// Ends are the tokens that a caption begins and ends with.
func (c Config) Ends(t tokenizer.Codec) (begin, end int32) {
	begin, end = t.BOS(), t.EOS()
	if c.Decoding.Begin != nil {
		begin = *c.Decoding.Begin
	}
	if c.Decoding.End != nil {
		end = *c.Decoding.End
	}
	return begin, end
}

// Options are the decoding options that the captioner asks for, with its own begin and end tokens.
func (c Config) Options(t tokenizer.Codec) decode.Options {
	o := decode.DefaultOptions()
	d := c.Decoding
	o.Rule = d.Rule
	o.Beam, o.LengthPenalty, o.MaxLen, o.NoRepeatNGram = d.Beam, d.LengthPenalty, d.MaxLen, d.NoRepeatNGram
	o.MinLen, o.EarlyStopping = d.MinLen, d.EarlyStopping
	o.Ends, o.Ban, o.RepetitionPenalty = slices.Clone(d.Ends), slices.Clone(d.Ban), d.Repetition
	o.Processors, o.MaxLenOfAll, o.MinLenOfAll = d.Processors, d.MaxLenOfAll, d.MinLenOfAll
	if d.Opening != "" {
		o.OpenWith(d.Opening, t.Encode)
	}
	if p, ok := c.Decoder.(Prompted); ok {
		// A model whose own prompt cannot be read says so when it is asked to read it.
		_ = o.ReadUsual(p.Reading(t, c.Memory))
	}
	o.BOS, o.EOS = c.Ends(t)
	return o
}
