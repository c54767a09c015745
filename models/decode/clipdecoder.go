package decode

import (
	"math"
	"slices"

	"captioner/data/mersenne"
)

// A Rule says by whose rules captions are chosen.
type Rule string

// The rules.
const (
	Search Rule = "" // this package's own: beam search and sampling as its documentation says

	// ClipDecoder is the beam search of clip-text-decoder 1.3 to 1.4.4 (model.py), token for token: sums of float32
	// log-probabilities without any normalization, in which finished captions stay in the race and can be pushed out by
	// live ones; ties stand in the order of torch.topk; the begin token counts for MaxLen, and the best live caption is
	// taken where nothing finished. A beam of one is its greedy search.
	ClipDecoder Rule = "python"

	// ClipDecoderSample is the rule of clip-text-decoder 1.1 and 1.2: of the TopK best tokens, the one whose softmax at
	// Temperature times a uniform random number is largest. The numbers are those that torch.manual_seed(Seed) gives,
	// begun anew for each image.
	ClipDecoderSample Rule = "python-sample"

	// ClipCap is the rule of ClipCap's own code, token for token: the mean of the float32 log-probabilities ranks
	// captions, and a caption holds its end token, the full stop. A beam of one is its greedy search.
	ClipCap Rule = "clipcap"
	// CoCa is the rule of open_clip's generate for CoCa, token for token: sums of logits, ranked by their mean. A beam of
	// one is its greedy search. Its groups are as many equal searches, so that a beam here is one group of it.
	CoCa Rule = "coca"
)

// clipDecoder is the search of one image by the rule of that name.
type clipDecoder struct {
	o     *Options
	beams []clipDecoderBeam // in the order of the last topk; at first the begin token alone
	steps int               // tokens chosen so far
}

type clipDecoderBeam struct {
	tokens []int32 // with the end token
	log    float32
	row    int32 // in the coming step; -1 for a finished one
}

func newClipDecoder(o *Options) *clipDecoder { return &clipDecoder{o: o, beams: []clipDecoderBeam{{}}} }

func (p *clipDecoder) advance(c view) bool {
	var all []clipDecoderBeam
	var logs []float32
	for _, b := range p.beams {
		if b.row < 0 {
			all, logs = append(all, b), append(logs, b.log)
			continue
		}
		for j := int(b.row) * c.k; j < int(b.row+1)*c.k && c.ids[j] >= 0; j++ {
			next := clipDecoderBeam{append(slices.Clip(b.tokens), c.ids[j]), c.logs[j] + b.log, b.row}
			if c.ids[j] == p.o.EOS {
				next.row = -1
			}
			all, logs = append(all, next), append(logs, next.log)
		}
	}
	p.steps++
	p.beams = p.beams[:0]
	live := false
	for _, i := range topK(logs, min(p.o.Beam, len(logs))) {
		p.beams = append(p.beams, all[i])
		live = live || all[i].row >= 0
	}
	return live && p.steps < p.o.MaxLen-1
}

func (p *clipDecoder) next(dst []row) []row {
	for i := range p.beams {
		if b := &p.beams[i]; b.row >= 0 {
			dst = append(dst, row{parent: b.row, token: b.tokens[len(b.tokens)-1], tokens: b.tokens})
			b.row = int32(len(dst) - 1)
		}
	}
	return dst
}

func (p *clipDecoder) hypotheses() []Hypothesis {
	slices.SortStableFunc(p.beams, func(a, b clipDecoderBeam) int { // the first of equals is what argmax takes
		switch {
		case a.log > b.log:
			return -1
		case a.log < b.log:
			return 1
		}
		return 0
	})
	out := make([]Hypothesis, 0, p.o.Captions)
	for _, b := range p.beams[:min(p.o.Captions, len(p.beams))] {
		out = append(out, clipDecoderHypothesis(b.tokens, float64(b.log), b.row < 0))
	}
	return out
}

// clipDecoderHypothesis takes the end token off finished tokens.
func clipDecoderHypothesis(tokens []int32, sum float64, finished bool) Hypothesis {
	h := Hypothesis{Tokens: slices.Clone(tokens), LogProb: sum, Score: sum, Length: len(tokens), Finished: finished}
	if finished {
		h.Tokens = h.Tokens[:len(tokens)-1]
	}
	return h
}

// clipDecoderSampler is the draw of one image by the rule of that name.
type clipDecoderSampler struct {
	o      *Options
	tokens []int32
	sum    float64
	ended  bool
	random *mersenne.Twister
}

func newClipDecoderSampler(o *Options) *clipDecoderSampler {
	return &clipDecoderSampler{o: o, random: mersenne.New(uint32(o.Seed))}
}

func (s *clipDecoderSampler) advance(c view) bool {
	n := 0
	for n < c.k && c.ids[n] >= 0 {
		n++
	}
	if n == 0 {
		return false
	}
	i := s.pick(c.logs[:n])
	s.tokens, s.sum = append(s.tokens, c.ids[i]), s.sum+float64(c.logs[i])
	s.ended = c.ids[i] == s.o.EOS
	return !s.ended && len(s.tokens) < s.o.MaxLen-1
}

// pick is argmax(softmax(logits/temperature) * rand) in float32; the scores may differ from the logits by a constant.
func (s *clipDecoderSampler) pick(logs []float32) int {
	t := float32(s.o.Temperature)
	odds := make([]float32, len(logs))
	var sum float32
	for i, l := range logs {
		odds[i] = float32(math.Exp(float64(l/t - logs[0]/t)))
		sum += odds[i]
	}
	best, at := float32(-1), 0
	for i, o := range odds {
		if v := o / sum * s.random.Float(); v > best {
			best, at = v, i
		}
	}
	return at
}

func (s *clipDecoderSampler) next(dst []row) []row {
	return append(dst, row{token: s.tokens[len(s.tokens)-1], tokens: s.tokens})
}

func (s *clipDecoderSampler) hypotheses() []Hypothesis {
	return []Hypothesis{clipDecoderHypothesis(s.tokens, s.sum, s.ended)}
}
