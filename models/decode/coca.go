package decode

// cocaPad is open_clip's padding token, with which its greedy search ends a text too: "!", which stays in the text.
const cocaPad = 0

// cocaGreedy is the greedy search of one image as open_clip has it for CoCa: generate with generation_type "top_k" and
// a top_k of 1. The last token that MaxLen leaves room for is the end token, whatever the model says.
type cocaGreedy struct {
	o     *Options
	text  Hypothesis
	steps int
}

func newCoCaGreedy(o *Options) *cocaGreedy { return &cocaGreedy{o: o} }

func (s *cocaGreedy) advance(c view) bool {
	s.steps++
	if s.steps == s.o.MaxLen || c.ids[0] < 0 {
		return false
	}
	s.text.LogProb += float64(c.logs[0])
	s.text.Length++
	if c.ids[0] == s.o.EOS {
		s.text.Finished = true
		return false
	}
	s.text.Tokens = append(s.text.Tokens, c.ids[0])
	s.text.Finished = c.ids[0] == cocaPad
	return !s.text.Finished
}

func (s *cocaGreedy) next(dst []row) []row {
	return append(dst, row{token: s.text.Tokens[len(s.text.Tokens)-1], tokens: s.text.Tokens})
}

func (s *cocaGreedy) hypotheses() []Hypothesis {
	s.text.Score = s.text.LogProb / float64(max(s.text.Length, 1))
	return []Hypothesis{s.text}
}
