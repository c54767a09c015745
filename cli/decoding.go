package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/models/decode"
)

// decodeFlags are the flags that say how captions are chosen. A flag that is not given leaves what the model file asks for.
type decodeFlags struct {
	decode.Options
	Rule                 string
	PromptText           string
	ForceWords, BanWords cli.StringSlice
	set                  func(flag string) bool
}

func (d *decodeFlags) flags() []cli.Flag {
	const category = "CAPTIONS"
	d.Options = decode.DefaultOptions()
	model := func(v any) string { return fmt.Sprintf("the model's own, mostly %v", v) }
	return []cli.Flag{
		&cli.StringFlag{Name: "decode", Value: "auto", Usage: "rules of the search: " + strings.Join(rules, ", ") + "; auto is the model's own, which for one of clip-text-decoder is Python's, token for token", Category: category, Destination: &d.Rule},
		&cli.IntFlag{Name: "beam-size", Aliases: []string{"beam"}, Value: d.Beam, DefaultText: model(d.Beam), Usage: "captions that are searched for at once; 1 takes the likeliest word each time", Category: category, Destination: &d.Beam},
		&cli.IntFlag{Name: "max-len", Value: d.MaxLen, DefaultText: model(d.MaxLen), Usage: "most tokens of a caption, a prompt not counted", Category: category, Destination: &d.MaxLen},
		&cli.IntFlag{Name: "min-length", Aliases: []string{"min-len"}, Usage: "fewest tokens of a caption", Category: category, Destination: &d.MinLen},
		&cli.Float64Flag{Name: "length-penalty", Value: d.LengthPenalty, DefaultText: model(d.LengthPenalty), Usage: "captions compare by log-probability / length^P; a larger `P` favours long ones", Category: category, Destination: &d.LengthPenalty},
		&cli.IntFlag{Name: "no-repeat-ngram", Value: d.NoRepeatNGram, DefaultText: model(d.NoRepeatNGram), Usage: "no run of `N` tokens comes twice in a caption; 0 allows it", Category: category, Destination: &d.NoRepeatNGram},
		&cli.IntFlag{Name: "num-captions", Value: 1, DefaultText: "1, with --diverse one of each group", Usage: "captions of each picture, the best first", Category: category, Destination: &d.Captions},
		&cli.IntFlag{Name: "diverse", Value: 1, Usage: "split the beam into `N` groups that avoid each other's words, for captions that differ", Category: category, Destination: &d.Groups},
		&cli.Float64Flag{Name: "diversity", Value: d.Diversity, Usage: "how much a group avoids words of the groups before it", Category: category, Destination: &d.Diversity},
		&cli.StringFlag{Name: "prompt", Usage: "`TEXT` that every caption begins with", Category: category, Destination: &d.PromptText},
		&cli.StringSliceFlag{Name: "force", Usage: "a `WORD` that every caption must have, as a whole word; dog|puppy takes either; may be given several times", Category: category, Destination: &d.ForceWords},
		&cli.StringSliceFlag{Name: "ban", Usage: "a `WORD` that no caption may have, small or capital, nor one that is spelled with its tokens; its other forms are words of their own: dog|dogs; may be given several times", Category: category, Destination: &d.BanWords},
		&cli.BoolFlag{Name: "sample", Usage: "draw captions at random instead of searching for the best", Category: category, Destination: &d.Sample},
		&cli.Float64Flag{Name: "temperature", Value: d.Temperature, Usage: "of --sample: below 1 safer, above 1 wilder", Category: category, Destination: &d.Temperature},
		&cli.IntFlag{Name: "top-k", Value: d.TopK, Usage: "of --sample: draw among the `K` likeliest tokens", Category: category, Destination: &d.TopK},
		&cli.Float64Flag{Name: "top-p", Value: d.TopP, Usage: "of --sample: and among the fewest that hold this share of probability", Category: category, Destination: &d.TopP},
		&cli.Uint64Flag{Name: "seed", Usage: "of --sample: with the picture itself, decides all draws", Category: category, Destination: &d.Seed},
	}
}

// rules are the words of --decode.
var rules = []string{"auto", "search", "python-greedy", "python-beam", "python-sample"}

// notPython are the flags of what the Python package does not have.
var notPython = []string{"min-length", "length-penalty", "no-repeat-ngram", "diverse", "diversity", "prompt", "force", "ban", "sample", "top-p"}

// validateRule checks the flags that a rule of Python does not know, or needs.
func (d *decodeFlags) validateRule() (errs []error) {
	errs = append(errs, oneOf("--decode", d.Rule, rules...))
	if !strings.HasPrefix(d.Rule, "python") {
		return errs
	}
	bad := notPython
	switch d.Rule {
	case "python-greedy":
		bad = slices.Concat(bad, []string{"beam-size", "num-captions", "temperature", "top-k", "seed"})
	case "python-beam":
		bad = slices.Concat(bad, []string{"temperature", "top-k", "seed"})
	case "python-sample":
		bad = slices.Concat(bad, []string{"beam-size", "num-captions"})
	}
	for _, f := range bad {
		if d.set(f) {
			errs = append(errs, usagef("leave out one of them", "--decode %s and --%s contradict each other", d.Rule, f))
		}
	}
	return errs
}

// python says whether captions are chosen by Python's rules for a model whose own rule is own: where the flags do not say, unless one of them
// asks for what these rules do not have.
func (d *decodeFlags) python(own decode.Rule) decode.Rule {
	switch d.Rule {
	case "search":
		return decode.Search
	case "python-greedy", "python-beam":
		return decode.Python
	case "python-sample":
		return decode.PythonSample
	}
	if slices.ContainsFunc(notPython, d.set) {
		return decode.Search
	}
	return own
}

// applyPython makes o options of a rule of Python.
func (d *decodeFlags) applyPython(o *decode.Options) {
	o.LengthPenalty, o.NoRepeatNGram = 0, 0
	switch {
	case o.Rule == decode.PythonSample:
		o.Beam = 1
		if !d.set("temperature") {
			o.Temperature = 1e-8
		}
		if !d.set("top-k") {
			o.TopK = 1
		}
	case d.Rule == "python-greedy" || !d.set("beam-size") && o.Captions == 1:
		o.Beam = 1
	}
}

// validate checks the values against each other as far as that needs no model.
func (d *decodeFlags) validate() error {
	need := func(with string, flags ...string) error {
		for _, f := range flags {
			if d.set(f) {
				return usagef("", "--%s needs --%s", f, with)
			}
		}
		return nil
	}
	errs := d.validateRule()
	if d.Sample {
		for _, f := range []string{"beam-size", "length-penalty", "diverse", "diversity", "force"} {
			if d.set(f) {
				errs = append(errs, usagef("leave out one of them", "--sample and --%s contradict each other", f))
			}
		}
		if d.Captions > 1 && (d.Temperature == 0 || d.TopK == 1) {
			errs = append(errs, usagef("", "--num-captions %d: all would be the same, for with --temperature 0 or --top-k 1 there is nothing to draw", d.Captions))
		}
	} else if d.Rule != "python-sample" {
		errs = append(errs, need("sample", "temperature", "top-k", "top-p", "seed"))
	}
	if d.Groups < 1 {
		return errors.Join(append(errs, usagef("", "--diverse %d: want 1 or more", d.Groups))...)
	}
	if d.Groups == 1 {
		errs = append(errs, need("diverse", "diversity"))
	}
	errs = append(errs, d.validateWords()...)
	if n := len(d.ForceWords.Value()); n > 0 && (d.set("beam-size") && d.Beam < 2 || d.Groups > 1) {
		errs = append(errs, usagef("", "--force needs a --beam-size of 2 or more, and no --diverse groups"))
	}
	if err := d.likely().Validate(); err != nil {
		errs = append(errs, usagef("", "%s", inFlags.Replace(oneLine(err))))
	}
	return errors.Join(errs...)
}

// likely are the options as far as they are known without a model: what is not set is as the rest wants it.
func (d *decodeFlags) likely() decode.Options {
	o := d.Options
	if !d.set("num-captions") && !d.Sample {
		o.Captions = max(o.Captions, o.Groups)
	}
	if !d.set("beam-size") {
		o.Beam = d.beam(o.Beam)
	}
	if !d.set("max-len") {
		o.MaxLen = max(o.MaxLen, o.MinLen+1)
	}
	if d.Rule == "python-sample" {
		o.Rule = decode.PythonSample
		d.applyPython(&o)
	}
	return o
}

// validateWords looks for words that are none, and for such as are wanted and not wanted.
func (d *decodeFlags) validateWords() (errs []error) {
	banned := make(map[string]bool)
	for _, w := range d.BanWords.Value() {
		for s := range strings.SplitSeq(w, "|") {
			banned[strings.ToLower(strings.TrimSpace(s))] = true
		}
	}
	wanted := d.ForceWords.Value()
	if banned[""] || slices.ContainsFunc(wanted, func(w string) bool { return slices.ContainsFunc(strings.Split(w, "|"), blank) }) {
		errs = append(errs, usagef("", "--force and --ban want words, found an empty one"))
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(strings.Split(w, "|"), func(s string) bool { return !banned[strings.ToLower(strings.TrimSpace(s))] }) {
			errs = append(errs, usagef("leave out one of them", "--force %q and --ban contradict each other", w))
		}
	}
	prompt := " " + strings.ToLower(strings.Join(strings.Fields(d.PromptText), " ")) + " "
	for w := range banned {
		if w != "" && strings.Contains(prompt, " "+w+" ") {
			errs = append(errs, usagef("leave out one of them", "--prompt %q and --ban %q contradict each other", d.PromptText, w))
		}
	}
	return errs
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// inFlags names things as the command line does.
var inFlags = strings.NewReplacer("number of captions", "--num-captions", "beam size", "--beam-size", "max length", "--max-len", "min length", "--min-length",
	"length penalty", "--length-penalty", "no-repeat n-gram", "--no-repeat-ngram", "diverse groups", "--diverse", "diversity", "--diversity",
	"temperature", "--temperature", "top-k", "--top-k", "top-p", "--top-p")

// beam is how wide a search is that nobody set: as wide as the model's own, and as the other flags make sense with.
func (d *decodeFlags) beam(own int) int {
	groups := max(d.Groups, 1)
	beam := max(own, d.Captions)
	if groups > 1 {
		beam = max(beam, 2*groups)
	}
	if n := len(d.ForceWords.Value()); n > 0 { // room for captions with none, one, … of the words, in each case for those that there would be without
		beam = max(beam, min(max(own, 2)*(n+1), mostForced), 2*(n+1))
	}
	return (beam + groups - 1) / groups * groups
}

// mostForced is the beam up to which forced words widen it by the model's own; beyond that each takes two more.
const mostForced = 16

// apply puts what was given into the options that a model asks for.
func (d *decodeFlags) apply(m model) (decode.Options, error) {
	own, o := m.Defaults(), d.Options
	o.BOS, o.EOS = own.BOS, own.EOS
	if o.Rule = d.python(own.Rule); o.Rule == decode.Search && own.Rule != decode.Search {
		own = decode.DefaultOptions() // what Python has is no good setting of a search
	}
	if !d.set("num-captions") && !d.Sample && o.Rule == decode.Search {
		o.Captions = max(o.Captions, o.Groups)
	}
	for flag, keep := range map[string]func(){
		"beam-size":       func() { o.Beam = d.beam(own.Beam) },
		"max-len":         func() { o.MaxLen = max(own.MaxLen, d.MinLen+1) },
		"length-penalty":  func() { o.LengthPenalty = own.LengthPenalty },
		"no-repeat-ngram": func() { o.NoRepeatNGram = own.NoRepeatNGram },
		"min-length":      func() { o.MinLen = own.MinLen },
	} {
		if !d.set(flag) {
			keep()
		}
	}
	if o.MinLen >= o.MaxLen && !d.set("min-length") {
		o.MinLen = o.MaxLen - 1
	}
	if d.Rule == "auto" {
		o.EarlyStopping = own.EarlyStopping
	}
	if o.Rule != decode.Search {
		d.applyPython(&o)
		if own.Rule == decode.Search && !d.set("max-len") {
			o.MaxLen = 64 // a file of Python's tells its own: 1.0.0 has 32
		}
	}
	if text := strings.TrimSpace(d.PromptText); text != "" {
		o.Prompt = m.Encode(text)
	}
	for _, w := range d.ForceWords.Value() {
		o.Force = append(o.Force, decode.ForcedRuns(m.Encode, w))
	}
	for _, w := range d.BanWords.Value() {
		o.Ban = append(o.Ban, decode.BannedRuns(m.Encode, w)...)
	}
	return o, fit(&o, m.Positions(), d.set("max-len"))
}

// fit makes prompt and caption fit into the positions that the model has learnt, and refuses only what was asked for and cannot be.
func fit(o *decode.Options, positions int, asked bool) error {
	room := positions - len(o.Prompt)
	if o.MaxLen > room && asked || room < 1 {
		if len(o.Prompt) == 0 {
			return usagef("", "--max-len %d: want at most %d for this model", o.MaxLen, positions)
		}
		return usagef("", "a prompt of %d tokens and a --max-len of %d: want at most %d together for this model", len(o.Prompt), o.MaxLen, positions)
	}
	o.MaxLen = min(o.MaxLen, room)
	if err := o.Validate(); err != nil {
		return usagef("", "%s", inFlags.Replace(oneLine(err)))
	}
	return nil
}
