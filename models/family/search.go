package family

import (
	"slices"

	"captioner/models/decode"
	"captioner/torch"
)

// mostHeld is how many bytes a Holder's session may keep of images on a CPU. Of BLIP in float32 that is 12 images. A
// step of so many rows is hardly slower, for each image, than one of all.
const mostHeld = 512 << 20

// Search finds the texts of n images from their features [n, P, C], best first for each. What is made on the way is
// freed. Images of which a session would keep too much at once are searched one group after the other.
func Search(w Writer, features *torch.Tensor, n int, o decode.Options) (out [][]decode.Hypothesis, err error) {
	groups := 1
	if h, ok := w.(Holder); ok && n > 1 && features.Device() == torch.CPU {
		groups = int(min((int64(n)*h.Holds(features.Dim(1))+mostHeld-1)/mostHeld, int64(n)))
	}
	if groups <= 1 {
		return searchAll(w, features, n, o)
	}
	torch.Scoped(func() {
		for i := range groups {
			from, to := n*i/groups, n*(i+1)/groups
			var found [][]decode.Hypothesis
			found, err = searchAll(w, features.Narrow(0, int64(from), int64(to-from)), to-from, o.Of(from, to))
			if err != nil {
				out = nil
				return
			}
			out = append(out, found...)
		}
	})
	return out, err
}

func searchAll(w Writer, features *torch.Tensor, n int, o decode.Options) (out [][]decode.Hypothesis, err error) {
	rows := o.Beam
	if o.Sample {
		rows = o.Captions
	}
	t := Texts{Images: n, Rows: max(rows, 1)}
	if r := o.Reading; r != nil {
		o.Read = slices.Concat(r.Image, o.Prompt)
		t.Prompt, o.Prompt, o.Reading = o.Prompt, nil, nil
	}
	t.Length = len(o.Prompt) + o.MaxLen
	torch.NoGrad(func() {
		torch.Scoped(func() {
			var s Session
			if s, err = w.Start(features, t); err != nil {
				return
			}
			defer s.Free()
			var next decode.Stepper = stepper{s}
			if p := newProcessed(s, &o); p != nil {
				next = p
			}
			out, err = decode.Run(next, n, o)
		})
	})
	return out, err
}

// stepper is a Session as package decode wants it.
type stepper struct{ session Session }

// Step feeds one token a row. What the step makes is freed at its end, but for the session's cache.
func (s stepper) Step(r decode.StepRequest) (c decode.Candidates, err error) {
	if r.K > 0 && len(r.Extra) == 0 && !r.Norms {
		c.IDs, c.LogProbs, err = s.session.Step(r.Parents, r.Tokens, r.K, r.Ban)
		return c, err
	}
	torch.Scoped(func() {
		var logits *torch.Tensor // [R, V]
		if logits, err = s.session.Logits(r.Parents, r.Tokens); err != nil || r.K == 0 {
			return
		}
		c.IDs, c.LogProbs = torch.TopKLogProbs(logits, r.K, 1, r.Ban)
		logProbs := logits.LogSoftmax(-1)
		if r.Norms {
			c.Norms = torch.Slice[float32](logits.Select(1, 0).Sub(logProbs.Select(1, 0)).Contiguous()) // [R]
		}
		if len(r.Extra) == 0 {
			return
		}
		extra := make([]int64, len(r.Extra))
		for i, id := range r.Extra {
			extra[i] = int64(id)
		}
		ids := torch.Upload(extra, logits.Device())
		c.Extra = torch.Slice[float32](logProbs.IndexSelect(1, ids)) // [R, len(Extra)]
	})
	return c, err
}
