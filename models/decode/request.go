package decode

import (
	"fmt"
	"slices"
	"strings"

	"captioner/weights/plural"
)

// Request is what somebody asks of captions, on the command line or over HTTP. A field that is nil was not said: the
// model's own value holds, or the default. Both doors ask [Request.Resolve], so both give the same captions and refuse
// the same.
type Request struct {
	Rule          *string  `json:"-"` // one of RuleNames; the service has only auto
	Beam          *int     `json:"beam_size"`
	MaxLen        *int     `json:"max_len"`
	MinLen        *int     `json:"min_length"`
	LengthPenalty *float64 `json:"length_penalty"`
	NoRepeatNGram *int     `json:"no_repeat_ngram"`
	Captions      *int     `json:"num_captions"`
	Groups        *int     `json:"diverse"`
	Diversity     *float64 `json:"diversity"`
	Keywords      *int     `json:"keywords"`
	Prompt        *string  `json:"prompt"`
	Task          *string  `json:"task"` // see Reading.Tasks
	Sample        *bool    `json:"sample"`
	Temperature   *float64 `json:"temperature"`
	TopK          *int     `json:"top_k"`
	TopP          *float64 `json:"top_p"`
	Seed          *uint64  `json:"seed"`
	Force         []string `json:"force"` // phrases that every caption must have; a | stands between alternatives
	Ban           []string `json:"ban"`   // phrases that no caption may have
}

// RuleNames are the values of Request.Rule. auto is the model's own rule, which gives way to search where the request
// asks for what the rules of clip-text-decoder do not have.
var RuleNames = []string{"auto", "search", "python-greedy", "python-beam", "python-sample"}

// Has says whether the request says something about a field.
func (r *Request) Has(f Field) bool {
	switch f {
	case FieldRule:
		return r.Rule != nil
	case FieldBeam:
		return r.Beam != nil
	case FieldMaxLen:
		return r.MaxLen != nil
	case FieldMinLen:
		return r.MinLen != nil
	case FieldLengthPenalty:
		return r.LengthPenalty != nil
	case FieldNoRepeatNGram:
		return r.NoRepeatNGram != nil
	case FieldCaptions:
		return r.Captions != nil
	case FieldGroups:
		return r.Groups != nil
	case FieldDiversity:
		return r.Diversity != nil
	case FieldKeywords:
		return r.Keywords != nil
	case FieldPrompt:
		return r.Prompt != nil
	case FieldTask:
		return r.Task != nil
	case FieldForce:
		return len(r.Force) > 0
	case FieldBan:
		return len(r.Ban) > 0
	case FieldSample:
		return r.Sample != nil
	case FieldTemperature:
		return r.Temperature != nil
	case FieldTopK:
		return r.TopK != nil
	case FieldTopP:
		return r.TopP != nil
	case FieldSeed:
		return r.Seed != nil
	}
	return false
}

// Resolve makes options of the request for a model: defaults are its own options, encode its tokenizer, positions the
// most tokens that its prompt and caption may have together (0: any number). The error is a FieldErrors with all that
// is wrong.
func (r Request) Resolve(defaults Options, encode func(string) []int32, positions int) (Options, error) {
	if err := r.Check(); err != nil {
		return Options{}, err
	}
	o := r.fill(defaults)
	if err := r.takePrompt(&o, encode); err != nil {
		return Options{}, FieldErrors{err}
	}
	for _, phrase := range r.Force {
		o.Force = append(o.Force, ForcedRuns(encode, phrase))
	}
	for _, phrase := range r.Ban {
		o.Ban = append(o.Ban, BannedRuns(encode, phrase)...)
	}
	if err := r.fit(&o, positions); err != nil {
		return Options{}, FieldErrors{err}
	}
	return o, o.Validate()
}

// takePrompt takes the request's prompt or task into o, and leaves of lengths of prompt and caption the caption's.
func (r *Request) takePrompt(o *Options, encode func(string) []int32) *FieldError {
	if o.Reading != nil {
		return r.readPrompt(o)
	}
	if r.Task != nil {
		_, wrong := r.task(nil)
		return wrong
	}
	counted := 0 // tokens of a prompt that lengths leave out already
	if o.Opening != "" {
		counted = len(o.Prompt)
	}
	if text := strings.TrimSpace(value(r.Prompt, "")); text != "" {
		*o = closed(*o)
		o.Prompt = encode(text)
	}
	more := len(o.Prompt) - counted
	if o.MinLenOfAll && r.MinLen == nil {
		o.MinLen = max(o.MinLen-more, 0)
	}
	if o.MaxLenOfAll && r.MaxLen == nil {
		if o.MaxLen-more < max(o.MinLen, 1) {
			return &FieldError{Field: FieldPrompt, Found: fmt.Sprintf("of %d tokens", len(o.Prompt)), Want: fmt.Sprintf(
				"fewer than the %d that the model gives prompt and caption, or more by max_len", o.MaxLen+counted)}
		}
		o.MaxLen -= more
	}
	return nil
}

// Check reports everything that is wrong whatever the model is, as FieldErrors.
func (r Request) Check() error {
	errs := slices.Concat(r.checkRule(), r.checkDraw(), r.checkPhrases())
	if n := value(r.Groups, 1); n < 1 {
		return append(errs, &FieldError{Field: FieldGroups, Found: fmt.Sprint(n), Want: "1 or more"})
	}
	if value(r.Groups, 1) == 1 && r.Diversity != nil {
		errs = append(errs, &FieldError{Field: FieldDiversity, Needs: FieldGroups})
	}
	if r.Task != nil && r.Prompt != nil {
		errs = append(errs, &FieldError{Field: FieldTask, Against: FieldPrompt})
	}
	if len(r.Force) > 0 && value(r.Groups, 1) > 1 {
		errs = append(errs, &FieldError{Field: FieldForce, Against: FieldGroups})
	}
	if len(r.Force) > 0 && value(r.Beam, 2) == 1 {
		errs = append(errs, &FieldError{Field: FieldBeam, Found: "1", Want: "2 or more for forced words"})
	}
	return append(errs, r.fill(DefaultOptions()).check()...).err()
}

// notClipDecoder are the fields that the rules of clip-text-decoder do not have.
var notClipDecoder = []Field{
	FieldMinLen, FieldLengthPenalty, FieldNoRepeatNGram, FieldGroups, FieldDiversity, FieldPrompt, FieldTask, FieldForce,
	FieldBan, FieldSample, FieldTopP,
}

// notIn are the further fields that single rules do not have.
var notIn = map[string][]Field{
	"python-greedy": {FieldBeam, FieldCaptions, FieldTemperature, FieldTopK, FieldSeed},
	"python-beam":   {FieldTemperature, FieldTopK, FieldSeed},
	"python-sample": {FieldBeam, FieldCaptions},
}

// checkRule refuses fields that the rule does not have.
func (r *Request) checkRule() (errs FieldErrors) {
	name := value(r.Rule, "auto")
	if !slices.Contains(RuleNames, name) {
		want := strings.Join(RuleNames, ", ")
		return FieldErrors{{Field: FieldRule, Found: fmt.Sprintf("%.60q", name), Want: want}}
	}
	more, restricted := notIn[name]
	if !restricted {
		return nil
	}
	for _, f := range slices.Concat(notClipDecoder, more) {
		if r.Has(f) {
			errs = append(errs, &FieldError{Field: FieldRule, Found: name, Against: f})
		}
	}
	return errs
}

// checkDraw refuses fields of a search beside a draw, and those of a draw without one.
func (r *Request) checkDraw() (errs FieldErrors) {
	if value(r.Sample, false) {
		for _, f := range []Field{FieldBeam, FieldLengthPenalty, FieldGroups, FieldDiversity, FieldForce} {
			if r.Has(f) {
				errs = append(errs, &FieldError{Field: FieldSample, Against: f})
			}
		}
		if n := value(r.Captions, 1); n > 1 && (value(r.Temperature, 1) == 0 || value(r.TopK, 2) == 1) {
			errs = append(errs, &FieldError{Field: FieldCaptions, Found: fmt.Sprint(n),
				Want: "1: at temperature 0, or among one token, all would be the same"})
		}
		return errs
	}
	if value(r.Rule, "auto") == "python-sample" {
		return nil
	}
	for _, f := range []Field{FieldTemperature, FieldTopK, FieldTopP, FieldSeed} {
		if r.Has(f) {
			errs = append(errs, &FieldError{Field: f, Needs: FieldSample})
		}
	}
	return errs
}

// checkPhrases refuses empty phrases, and those that are both wanted and not wanted.
func (r *Request) checkPhrases() (errs FieldErrors) {
	var banned []string
	for _, phrase := range r.Ban {
		banned = append(banned, alternatives(strings.ToLower(phrase))...)
	}
	if slices.Contains(banned, "") {
		errs = append(errs, &FieldError{Field: FieldBan, Found: quoted(r.Ban), Want: "words, not an empty one"})
	}
	for _, phrase := range r.Force {
		all := alternatives(strings.ToLower(phrase))
		if slices.Contains(all, "") {
			errs = append(errs, &FieldError{Field: FieldForce, Found: quoted([]string{phrase}), Want: "words, not an empty one"})
		} else if !slices.ContainsFunc(all, func(s string) bool { return !slices.Contains(banned, s) }) {
			errs = append(errs, &FieldError{Field: FieldForce, Found: fmt.Sprintf("%.60q", phrase), Against: FieldBan})
		}
	}
	prompt := " " + strings.ToLower(strings.Join(strings.Fields(value(r.Prompt, "")), " ")) + " "
	for _, word := range banned {
		if word != "" && strings.Contains(prompt, " "+word+" ") {
			errs = append(errs, &FieldError{Field: FieldBan, Found: fmt.Sprintf("%.60q", word), Against: FieldPrompt})
		}
	}
	return errs
}

// quoted lists phrases for an error.
func quoted(phrases []string) string {
	all := make([]string, len(phrases))
	for i, p := range phrases {
		all[i] = fmt.Sprintf("%.60q", p)
	}
	return strings.Join(all, " ")
}

// rule is the rule by which captions are chosen for a model whose own rule is own.
func (r *Request) rule(own Rule) Rule {
	switch value(r.Rule, "auto") {
	case "search":
		return Search
	case "python-greedy", "python-beam":
		return ClipDecoder
	case "python-sample":
		return ClipDecoderSample
	}
	has := func(f Field) bool { return r.Has(f) && !(own == CoCa && f == FieldMinLen) }
	if slices.ContainsFunc(notClipDecoder, has) {
		return Search
	}
	return own
}

// fill puts the request into a model's own options, but for its texts.
func (r *Request) fill(own Options) Options {
	o := own
	if o.Rule = r.rule(own.Rule); o.Rule == Search && own.Rule != Search {
		o = DefaultOptions() // what clip-text-decoder has is no good setting of a search
		o.BOS, o.EOS = own.BOS, own.EOS
	}
	if value(r.Rule, "auto") != "auto" {
		o.EarlyStopping = ""
	}
	o.Sample, o.Seed = value(r.Sample, false), value(r.Seed, 0)
	o.Temperature, o.TopK, o.TopP = value(r.Temperature, o.Temperature), value(r.TopK, o.TopK), value(r.TopP, o.TopP)
	o.LengthPenalty, o.NoRepeatNGram = value(r.LengthPenalty, o.LengthPenalty), value(r.NoRepeatNGram, o.NoRepeatNGram)
	o.Groups, o.Diversity = value(r.Groups, 1), value(r.Diversity, o.Diversity)
	o.Keywords = value(r.Keywords, 0)
	o.Captions = value(r.Captions, 1)
	if r.Captions == nil && !o.Sample && o.Rule == Search {
		o.Captions = max(1, o.Groups)
	}
	o.Beam = value(r.Beam, r.beam(o.Beam))
	o.MaxLen = value(r.MaxLen, max(o.MaxLen, value(r.MinLen, 0)+1))
	if r.MaxLen != nil {
		o.MinLen = min(o.MinLen, max(o.MaxLen-1, 0))
	}
	o.MinLen = value(r.MinLen, o.MinLen)
	switch o.Rule {
	case ClipDecoder, ClipDecoderSample:
		r.fillClipDecoder(&o, own.Rule)
	case ClipCap: // it has a beam and a longest caption of its own
		o.NoRepeatNGram, o.MinLen = 0, 0
	case CoCa: // and shortest one
		o.NoRepeatNGram = 0
	}
	if o.Rule != Search {
		o = closed(o)
	}
	return o
}

// fillClipDecoder makes o options of a rule of clip-text-decoder. A file of clip-text-decoder has a longest caption of
// its own.
func (r *Request) fillClipDecoder(o *Options, own Rule) {
	o.LengthPenalty, o.NoRepeatNGram, o.MinLen = 0, 0, 0
	if own == Search {
		o.MaxLen = value(r.MaxLen, 64)
	}
	switch {
	case o.Rule == ClipDecoderSample:
		o.Beam, o.Temperature, o.TopK = 1, value(r.Temperature, 1e-8), value(r.TopK, 1)
	case value(r.Rule, "auto") == "python-greedy" || r.Beam == nil && o.Captions == 1:
		o.Beam = 1
	}
}

// mostForced is the beam up to which forced words widen it by the model's own; beyond that each takes two more.
const mostForced = 16

// beam is how wide a search is whose width was not said: as wide as the model's own, and as the other fields make sense
// with. Forced words need room for captions with none, with one, and so on up to all of them; each of these groups gets
// the beam that there would be without forced words, up to mostForced in all, and two at least.
func (r *Request) beam(own int) int {
	groups := max(value(r.Groups, 1), 1)
	beam := max(own, value(r.Captions, 1))
	if groups > 1 {
		beam = max(beam, 2*groups)
	}
	if n := len(r.Force); n > 0 {
		beam = max(beam, min(max(own, 2)*(n+1), mostForced), 2*(n+1))
	}
	return (beam + groups - 1) / groups * groups
}

// fit shortens the caption to the positions that the prompt leaves. It refuses only what was asked for and does not
// fit.
func (r *Request) fit(o *Options, positions int) *FieldError {
	if positions <= 0 {
		return nil
	}
	prompt := o.Begun()
	room := positions - prompt
	if room >= 1 && (r.MaxLen == nil || o.MaxLen <= room) {
		o.MaxLen = min(o.MaxLen, room)
		return nil
	}
	if prompt == 0 {
		return &FieldError{
			Field: FieldMaxLen,
			Found: fmt.Sprint(o.MaxLen),
			Want:  fmt.Sprintf("at most %d for this model", positions),
		}
	}
	return &FieldError{
		Field: FieldPrompt,
		Found: fmt.Sprintf("of %s before a caption of %d", plural.Count(len(o.Prompt), "token"), o.MaxLen),
		Want:  fmt.Sprintf("at most %d together for this model", positions),
	}
}

// value is what p points to, or v where it is nil.
func value[T any](p *T, v T) T {
	if p == nil {
		return v
	}
	return *p
}
