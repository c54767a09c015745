package server

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"captioner/cli/server/problem"
	"captioner/models/decode"
	"captioner/weights/plural"
)

// settings are the options of a request. They mean what the flags of predict mean. In a query and in a form their names
// are those of JSON, or those of the flags.
type settings struct {
	decode.Request
	Model     *string `json:"model"` // the name of one of several
	TimeoutMS *int    `json:"timeout_ms"`
}

// settingNames are the options that a request may hold.
var settingNames = []string{
	"beam_size", "max_len", "min_length", "length_penalty", "no_repeat_ngram", "num_captions", "keywords", "diverse",
	"diversity", "prompt", "task", "sample", "temperature", "top_k", "top_p", "seed", "force", "ban", "model",
	"timeout_ms",
}

// settingName is the JSON name of an option in any of its spellings, or "" for an unknown one.
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
	case "keywords":
		return parse(&s.Keywords, name, value, "a whole number", strconv.Atoi)
	case "diverse":
		return parse(&s.Groups, name, value, "a whole number", strconv.Atoi)
	case "diversity":
		return parse(&s.Diversity, name, value, "a number", parseFloat)
	case "prompt":
		return parse(&s.Prompt, name, value, "valid UTF-8", parseText)
	case "task":
		return parse(&s.Task, name, value, "valid UTF-8", parseText)
	case "sample":
		return parse(&s.Sample, name, value, "true or false", strconv.ParseBool)
	case "temperature":
		return parse(&s.Temperature, name, value, "a number", parseFloat)
	case "top_k":
		return parse(&s.TopK, name, value, "a whole number", strconv.Atoi)
	case "top_p":
		return parse(&s.TopP, name, value, "a number", parseFloat)
	case "seed":
		return parse(&s.Seed, name, value, "a whole number, 0 or more", parseSeed)
	case "force":
		return s.phrase(&s.Force, name, value)
	case "ban":
		return s.phrase(&s.Ban, name, value)
	case "model":
		return parse(&s.Model, name, value, "valid UTF-8", parseText)
	case "timeout_ms":
		return parse(&s.TimeoutMS, name, value, "a whole number", strconv.Atoi)
	}
	return problem.New("bad-option", "found the option %.60q, want one of %s", name, strings.Join(settingNames, ", "))
}

// phrase appends one phrase to a list: force and ban may stand in a query several times.
func (s *settings) phrase(list *[]string, name, value string) error {
	text, err := parseText(value)
	if err != nil {
		return problem.New("bad-option", "%s: found %.60q, want valid UTF-8", name, value)
	}
	*list = append(*list, text)
	return nil
}

// forCaptions says whether there is an option that only captions have.
func (s *settings) forCaptions() bool {
	return slices.ContainsFunc(settingNames, func(name string) bool { return s.Has(decode.Field(name)) })
}

// parse sets *p. A second value for the same option is an error.
func parse[T any](p **T, name, value, want string, read func(string) (T, error)) error {
	if *p != nil {
		return problem.New("bad-option", "%s is there twice, want it once", name)
	}
	v, err := read(value)
	if err != nil {
		return problem.New("bad-option", "%s: found %.60q, want %s", name, value, want)
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

func parseSeed(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }

func parseText(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errNumber
	}
	return s, nil
}

// maxPrompt bounds the bytes of a prompt, and of all phrases forced and banned: no caption is longer. maxBans bounds
// how many are banned.
const (
	maxPrompt = 1000
	maxBans   = 64
)

func or[T any](p *T, v T) T {
	if p == nil {
		return v
	}
	return *p
}

// apply puts what was asked for into the model's own options, as predict does, within the limits of the service.
func (s *settings) apply(m *handle, limits *Options) (decode.Options, error) {
	r := s.Request
	if err := s.limit(m, limits); err != nil {
		return decode.Options{}, err
	}
	o, err := r.Resolve(m.info.Defaults, m.Encode, m.info.Positions)
	if err == nil && r.Beam == nil && o.Beam > mostBeam(m, limits) { // forced words and groups widen a beam by themselves
		groups := or(r.Groups, 1)
		r.Beam = new(mostBeam(m, limits) / groups * groups)
		o, err = r.Resolve(m.info.Defaults, m.Encode, m.info.Positions)
	}
	return o, optionProblem(err)
}

// optionProblem says what is wrong with the options, by their names in JSON.
func optionProblem(err error) error {
	if err == nil {
		return nil
	}
	return problem.New("bad-option", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

func mostBeam(m *handle, limits *Options) int { return max(limits.MaxBeam, m.info.Defaults.Beam) }

// limit checks what a client may cost.
func (s *settings) limit(m *handle, limits *Options) error {
	for _, c := range []struct {
		name       decode.Field
		got, limit int
	}{
		{decode.FieldBeam, or(s.Beam, 1), mostBeam(m, limits)},
		{decode.FieldCaptions, or(s.Captions, 1), limits.MaxBeam},
		{decode.FieldGroups, or(s.Groups, 1), limits.MaxBeam},
		{decode.FieldMaxLen, or(s.MaxLen, 1), max(limits.MaxLen, m.info.Defaults.MaxLen)},
		{decode.FieldMinLen, or(s.MinLen, 0), limits.MaxLen},
	} {
		if c.got > c.limit {
			return problem.New("bad-option", "%s %d: want at most %d", c.name, c.got, c.limit)
		}
	}
	if n := len(or(s.Prompt, "")); n > maxPrompt {
		return problem.New("bad-option", "prompt of %d bytes: want at most %d", n, maxPrompt)
	}
	if most := max(limits.MaxBeam/2-1, 0); len(s.Force) > most { // each widens the beam by two or more
		return problem.New("bad-option", "force of %s: want at most %d", plural.Count(len(s.Force), "phrase"), most)
	}
	if len(s.Ban) > maxBans {
		return problem.New("bad-option", "ban of %s: want at most %d", plural.Count(len(s.Ban), "phrase"), maxBans)
	}
	bytes := 0
	for _, phrase := range slices.Concat(s.Force, s.Ban) {
		bytes += len(phrase)
	}
	if bytes > maxPrompt {
		return problem.New("bad-option", "force and ban of %d bytes: want at most %d", bytes, maxPrompt)
	}
	return nil
}

// within is how long the request may take.
func (s *settings) within(limit time.Duration) (time.Duration, error) {
	if s.TimeoutMS == nil {
		return limit, nil
	}
	if *s.TimeoutMS < 1 {
		return 0, problem.New("bad-option", "timeout_ms %d: want 1 or more", *s.TimeoutMS)
	}
	return min(limit, time.Duration(*s.TimeoutMS)*time.Millisecond), nil
}
