package captioner

import (
	"math"
	"strings"

	"captioner/data/keywords"
	"captioner/data/tokenizer"
	"captioner/models/decode"
	"captioner/models/family"
	"captioner/torch"
)

// write captions n images from their features [n, P, C]. It runs on the torch thread.
func (c *Captioner) write(features *torch.Tensor, n int, o decode.Options) ([]Caption, error) {
	t := c.File.Tokenizer
	if len(o.Force) > 0 {
		o.Inside = t.Continues
	}
	asked := o.Captions
	o.Captions = o.Pool()
	hyps, err := family.Search(c.writer, features, n, o)
	if err != nil {
		return nil, err
	}
	out := make([]Caption, n)
	for i, hs := range hyps {
		words := c.keywordsOf(hs, o)
		for j, h := range hs[:min(asked, len(hs))] {
			one := Caption{
				Text:       o.Caption(c.spell(h.Tokens, o.Rule)),
				LogProb:    h.LogProb,
				Confidence: h.Confidence(),
				Tokens:     h.Tokens,
			}
			if j == 0 {
				one.Keywords = words
				out[i] = one
			} else {
				out[i].Alternatives = append(out[i].Alternatives, one)
			}
		}
	}
	return out, nil
}

// keywordsOf lists the words of an image's hypotheses; each counts by its probability under the model.
func (c *Captioner) keywordsOf(hs []decode.Hypothesis, o decode.Options) (words []decode.Keyword) {
	if o.Keywords == 0 || len(hs) == 0 {
		return nil
	}
	texts := make([]keywords.Text, len(hs))
	best := hs[0].LogProb
	for _, h := range hs {
		best = max(best, h.LogProb)
	}
	for i, h := range hs {
		texts[i] = keywords.Text{Text: o.Caption(c.spell(h.Tokens, o.Rule)), Weight: math.Exp(h.LogProb - best)}
	}
	for _, w := range keywords.Rank(texts, o.Keywords) {
		words = append(words, decode.Keyword{Word: w.Text, Probability: w.Share})
	}
	return words
}

// spell gives the text of a caption's tokens.
func (c *Captioner) spell(tokens []int32, rule decode.Rule) string {
	if s, ok := c.File.Config.Decoder.(family.Speller); ok {
		return s.Spell(c.File.Tokenizer, tokens)
	}
	return caption(c.File.Tokenizer, tokens, rule)
}

// caption spells tokens. By the rules of Python it is what Hugging Face's tokenizer gave at the time of
// clip-text-decoder, which by default took the spaces before marks and clipped words away and left those at the ends.
func caption(t tokenizer.Codec, tokens []int32, rule decode.Rule) string {
	if w, ok := t.(*tokenizer.Tokenizer); ok && w.Words() {
		return t.Decode(tokens)
	}
	if rule == decode.Search {
		return strings.TrimSpace(t.Decode(tokens))
	}
	return tokenizer.CleanUpSpaces(t.Decode(tokens))
}
