package server

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"captioner/models/decode"
)

// settings are what a request says about how it wants its captions; nil leaves what the model asks for. They mean what the flags of predict
// mean. In a query and in a form the names are those of JSON, or the flags' with hyphens.
type settings struct {
	Beam          *int     `json:"beam_size"`
	MaxLen        *int     `json:"max_len"`
	MinLen        *int     `json:"min_length"`
	LengthPenalty *float64 `json:"length_penalty"`
	NoRepeatNGram *int     `json:"no_repeat_ngram"`
	Captions      *int     `json:"num_captions"`
	Groups        *int     `json:"diverse"`
	Diversity     *float64 `json:"diversity"`
	Prompt        *string  `json:"prompt"`
	Sample        *bool    `json:"sample"`
	Temperature   *float64 `json:"temperature"`
	TopK          *int     `json:"top_k"`
	TopP          *float64 `json:"top_p"`
	Seed          *uint64  `json:"seed"`
	Force         []string `json:"force"`
	Ban           []string `json:"ban"`
	TimeoutMS     *int     `json:"timeout_ms"`
}

// settingNames are the options that a request may hold.
var settingNames = []string{"beam_size", "max_len", "min_length", "length_penalty", "no_repeat_ngram", "num_captions", "diverse", "diversity", "prompt",
	"sample", "temperature", "top_k", "top_p", "seed", "force", "ban", "timeout_ms"}

// settingName is the JSON name of an option, whatever its spelling; "" for what is none.
func settingName(s string) string {
	s = strings.ReplaceAll(s, "-", "_")
	switch s {
	case "beam":
		s = "beam_size"
	case "min_len":
		s = "min_length"
	}
	if slices.Contains(settingNames, s) {
		return s
	}
	return ""
}

// set reads one option of a query or a form.
func (s *settings) set(name, value string) error {
	switch settingName(name) {
	case "beam_size":
		return parse(&s.Beam, name, value, "a whole number", strconv.Atoi)
	case "max_len":
		return parse(&s.MaxLen, name, value, "a whole number", strconv.Atoi)
	case "min_length":
		return parse(&s.MinLen, name, value, "a whole number", strconv.Atoi)
	case "length_penalty":
		return parse(&s.LengthPenalty, name, value, "a number", parseFloat)
	case "no_repeat_ngram":
		return parse(&s.NoRepeatNGram, name, value, "a whole number", strconv.Atoi)
	case "num_captions":
		return parse(&s.Captions, name, value, "a whole number", strconv.Atoi)
	case "diverse":
		return parse(&s.Groups, name, value, "a whole number", strconv.Atoi)
	case "diversity":
		return parse(&s.Diversity, name, value, "a number", parseFloat)
	case "prompt":
		return parse(&s.Prompt, name, value, "valid UTF-8", parseText)
	case "sample":
		return parse(&s.Sample, name, value, "true or false", strconv.ParseBool)
	case "temperature":
		return parse(&s.Temperature, name, value, "a number", parseFloat)
	case "top_k":
		return parse(&s.TopK, name, value, "a whole number", strconv.Atoi)
	case "top_p":
		return parse(&s.TopP, name, value, "a number", parseFloat)
	case "seed":
		return parse(&s.Seed, name, value, "a whole number, 0 or more", func(v string) (uint64, error) { return strconv.ParseUint(v, 10, 64) })
	case "force":
		return s.words(&s.Force, name, value)
	case "ban":
		return s.words(&s.Ban, name, value)
	case "timeout_ms":
		return parse(&s.TimeoutMS, name, value, "a whole number", strconv.Atoi)
	}
	return refuse("bad-option", "found the option %.60q, want one of %s", name, strings.Join(settingNames, ", "))
}

// words takes one more entry of a list, which may be in a query several times.
func (s *settings) words(list *[]string, name, value string) error {
	text, err := parseText(value)
	if err != nil {
		return refuse("bad-option", "%s: found %.60q, want valid UTF-8", name, value)
	}
	*list = append(*list, text)
	return nil
}

// forCaptions says whether there is anything that only captions know.
func (s *settings) forCaptions() bool {
	return s.Beam != nil || s.MaxLen != nil || s.MinLen != nil || s.LengthPenalty != nil || s.NoRepeatNGram != nil || s.Captions != nil || s.Groups != nil ||
		s.Diversity != nil || s.Prompt != nil || s.Sample != nil || s.Temperature != nil || s.TopK != nil || s.TopP != nil || s.Seed != nil ||
		len(s.Force) > 0 || len(s.Ban) > 0
}

// parse sets *p, once.
func parse[T any](p **T, name, value, want string, read func(string) (T, error)) error {
	if *p != nil {
		return refuse("bad-option", "%s is there twice, want it once", name)
	}
	v, err := read(value)
	if err != nil {
		return refuse("bad-option", "%s: found %.60q, want %s", name, value, want)
	}
	*p = &v
	return nil
}

var errNumber = fmt.Errorf("not finite")

func parseFloat(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
		err = errNumber
	}
	return x, err
}

func parseText(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errNumber
	}
	return s, nil
}

// maxPrompt bounds the bytes of a prompt, and of all words forced and banned: no caption is longer. maxBans bounds how many are banned.
const (
	maxPrompt = 1000
	maxBans   = 64
)

// wantBeam is the smallest beam that the other options make sense with.
func (s *settings) wantBeam() int {
	groups := max(or(s.Groups, 1), 1)
	return (max(or(s.Captions, 1), groups) + groups - 1) / groups * groups
}

func or[T any](p *T, v T) T {
	if p == nil {
		return v
	}
	return *p
}

// apply puts what was asked for into the model's own options, by the rules of predict, and checks the result against the limits.
func (s *settings) apply(m *lease, limits *Options) (decode.Options, error) {
	if err := s.contradictions(); err != nil {
		return decode.Options{}, err
	}
	own := m.info.Defaults
	o := own
	o.MinLen, o.Captions, o.Groups, o.Diversity = or(s.MinLen, 0), or(s.Captions, 1), or(s.Groups, 1), or(s.Diversity, .5)
	o.Beam = or(s.Beam, max(own.Beam, s.wantBeam()))
	if s.Beam == nil && o.Groups > 1 {
		o.Beam = (o.Beam + o.Groups - 1) / o.Groups * o.Groups
	}
	o.MaxLen = or(s.MaxLen, max(own.MaxLen, o.MinLen+1))
	o.LengthPenalty, o.NoRepeatNGram = or(s.LengthPenalty, own.LengthPenalty), or(s.NoRepeatNGram, own.NoRepeatNGram)
	o.Sample, o.Temperature, o.TopK, o.TopP, o.Seed = or(s.Sample, false), or(s.Temperature, 1), or(s.TopK, 50), or(s.TopP, 1), or(s.Seed, 0)
	if err := s.limit(&o, m, limits); err != nil {
		return o, err
	}
	s.encode(&o, m)
	if room := m.info.Positions - len(o.Prompt); m.info.Positions > 0 {
		if o.MaxLen > room && s.MaxLen != nil || room < 1 {
			return o, refuse("bad-option", "prompt of %d tokens and max_len %d: want at most %d together for this model", len(o.Prompt), o.MaxLen, m.info.Positions)
		}
		o.MaxLen = min(o.MaxLen, room)
	}
	if err := o.Validate(); err != nil {
		return o, refuse("bad-option", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return o, nil
}

// encode makes tokens of what is given in words.
func (s *settings) encode(o *decode.Options, m *lease) {
	if text := strings.TrimSpace(or(s.Prompt, "")); text != "" {
		o.Prompt = m.Encode(text)
	}
	for _, w := range s.Force {
		o.Force = append(o.Force, decode.ForcedRuns(m.Encode, w))
	}
	for _, w := range s.Ban {
		o.Ban = append(o.Ban, decode.BannedRuns(m.Encode, w)...)
	}
	if s.Beam == nil && len(o.Force) > 0 { // room for captions with none, one, … of the words
		o.Beam = max(o.Beam, 2*(len(o.Force)+1))
	}
}

// limit checks what a client may cost.
func (s *settings) limit(o *decode.Options, m *lease, limits *Options) error {
	for _, c := range []struct {
		name       string
		got, limit int
	}{
		{"beam_size", or(s.Beam, 1), max(limits.MaxBeam, m.info.Defaults.Beam)},
		{"num_captions", o.Captions, limits.MaxBeam},
		{"diverse", o.Groups, limits.MaxBeam},
		{"max_len", or(s.MaxLen, 1), max(limits.MaxLen, m.info.Defaults.MaxLen)},
		{"min_length", o.MinLen, limits.MaxLen},
	} {
		if c.got > c.limit {
			return refuse("bad-option", "%s %d, want at most %d", c.name, c.got, c.limit)
		}
	}
	if len(or(s.Prompt, "")) > maxPrompt {
		return refuse("bad-option", "prompt of %d bytes, want at most %d", len(*s.Prompt), maxPrompt)
	}
	if most := max(limits.MaxBeam/2-1, 0); len(s.Force) > most { // each widens the beam by two
		return refuse("bad-option", "force with %d entries, want at most %d", len(s.Force), most)
	}
	if len(s.Ban) > maxBans {
		return refuse("bad-option", "ban with %d entries, want at most %d", len(s.Ban), maxBans)
	}
	bytes := 0
	for _, w := range slices.Concat(s.Force, s.Ban) {
		bytes += len(w)
		if slices.ContainsFunc(strings.Split(w, "|"), func(one string) bool { return strings.TrimSpace(one) == "" }) {
			return refuse("bad-option", "force and ban want words, found %.60q", w)
		}
	}
	if bytes > maxPrompt {
		return refuse("bad-option", "force and ban of %d bytes, want at most %d", bytes, maxPrompt)
	}
	return nil
}

// contradictions are what predict refuses too.
func (s *settings) contradictions() error {
	both := func(a, b string) error { return refuse("bad-option", "%s and %s contradict each other", a, b) }
	needs := func(a, b string) error { return refuse("bad-option", "%s needs %s", a, b) }
	switch sample := or(s.Sample, false); {
	case sample && s.Beam != nil:
		return both("sample", "beam_size")
	case sample && s.Groups != nil:
		return both("sample", "diverse")
	case sample && s.Diversity != nil:
		return both("sample", "diversity")
	case !sample && s.Temperature != nil:
		return needs("temperature", "sample")
	case !sample && s.TopK != nil:
		return needs("top_k", "sample")
	case !sample && s.TopP != nil:
		return needs("top_p", "sample")
	case !sample && s.Seed != nil:
		return needs("seed", "sample")
	case or(s.Groups, 1) == 1 && s.Diversity != nil:
		return needs("diversity", "diverse")
	case len(s.Force) > 0 && (or(s.Beam, 2) < 2 || or(s.Groups, 1) > 1):
		return refuse("bad-option", "force needs a beam_size of 2 or more, and no diverse groups")
	case sample && len(s.Force) > 0:
		return both("sample", "force")
	}
	return nil
}

// within is how long the request may take.
func (s *settings) within(limit time.Duration) (time.Duration, error) {
	if s.TimeoutMS == nil {
		return limit, nil
	}
	if *s.TimeoutMS < 1 {
		return 0, refuse("bad-option", "timeout_ms %d, want 1 or more", *s.TimeoutMS)
	}
	return min(limit, time.Duration(*s.TimeoutMS)*time.Millisecond), nil
}
