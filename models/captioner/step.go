package captioner

import (
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/decode"
	"captioner/models/gpt2"
	"captioner/torch"
)

// session is what a decoder makes of a batch's memory: GPT-2's, or that of clip-text-decoder 1.0.0.
type session interface {
	Step(parents, tokens []int32, k int, ban [][]int32) (ids []int32, logProbs []float32, err error)
	Logits(parents, tokens []int32) (*torch.Tensor, error)
	Free()
}

// starter begins a session for images with so many rows, and texts of at most maxLen tokens.
type starter func(memory *torch.Tensor, images, rows, maxLen int) (session, error)

func startGPT2(d *gpt2.Decoder) starter {
	return func(memory *torch.Tensor, images, rows, maxLen int) (session, error) {
		return d.Start(memory, images, rows, maxLen)
	}
}

// stepper is a decoding session as package decode wants it.
type stepper struct{ session session }

// Step feeds one token a row. What the step makes is freed at its end, but for the session's cache.
func (s stepper) Step(r decode.StepRequest) (c decode.Candidates, err error) {
	if r.K > 0 && len(r.Extra) == 0 {
		c.IDs, c.LogProbs, err = s.session.Step(r.Parents, r.Tokens, r.K, r.Ban)
		return c, err
	}
	torch.Scoped(func() {
		var logits *torch.Tensor // [rows, V]
		if logits, err = s.session.Logits(r.Parents, r.Tokens); err != nil || r.K == 0 {
			return
		}
		c.IDs, c.LogProbs = torch.TopKLogProbs(logits, r.K, 1, r.Ban)
		extra := make([]int64, len(r.Extra))
		for i, id := range r.Extra {
			extra[i] = int64(id)
		}
		c.Extra = torch.Slice[float32](logits.LogSoftmax(-1).IndexSelect(1, torch.FromSlice(extra).ToDevice(logits.Device())))
	})
	return c, err
}

// captions decodes features [n, P, In] into texts; it runs on the torch thread.
func captions(m *Model, start starter, t *tokenizer.Tokenizer, features *torch.Tensor, n int, o decode.Options) ([]Caption, error) {
	if len(o.Force) > 0 {
		o.Inside = inside(t)
	}
	hyps, err := search(m, start, features, n, o)
	if err != nil {
		return nil, err
	}
	out := make([]Caption, n)
	for i, hs := range hyps {
		for j, h := range hs {
			c := Caption{Text: caption(t, h.Tokens, o.Rule), LogProb: h.LogProb, Confidence: h.Confidence(), Tokens: h.Tokens}
			if j == 0 {
				out[i] = c
			} else {
				out[i].Alternatives = append(out[i].Alternatives, c)
			}
		}
	}
	return out, nil
}

// caption spells tokens. By the rules of Python it is what Hugging Face's tokenizer gave at the time of clip-text-decoder, which by default took
// the spaces before marks and clipped words away and left those at the ends.
func caption(t *tokenizer.Tokenizer, tokens []int32, rule decode.Rule) string {
	if t.Words() {
		return t.Decode(tokens)
	}
	if rule == decode.Search {
		return strings.TrimSpace(t.Decode(tokens))
	}
	s := t.Decode(tokens)
	for _, r := range [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"},
		{" 've", "'ve"}, {" 're", "'re"}} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}

// Decode finds the hypotheses of n pictures from their features [n, P, In]. d is m's decoder, prepared for inference. It works inside
// torch.Do.
func Decode(m *Model, d *gpt2.Decoder, features *torch.Tensor, n int, o decode.Options) ([][]decode.Hypothesis, error) {
	return search(m, startGPT2(d), features, n, o)
}

func search(m *Model, start starter, features *torch.Tensor, n int, o decode.Options) (out [][]decode.Hypothesis, err error) {
	torch.NoGrad(func() {
		torch.Scoped(func() {
			rows := o.Beam
			if o.Sample {
				rows = o.Captions
			}
			var s session
			if s, err = start(m.Memory.forward(features, false), n, max(rows, 1), len(o.Prompt)+o.MaxLen); err != nil {
				return
			}
			defer s.Free()
			out, err = decode.Run(stepper{s}, n, o)
		})
	})
	return out, err
}
