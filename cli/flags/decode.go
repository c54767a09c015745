package flags

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/prompt"
	"captioner/models/decode"
)

// Decode are the flags that say how captions are chosen. A flag that is not given leaves what the model file asks for.
type Decode struct {
	values               decode.Options
	rule, prompt, task   string
	template             prompt.Template // of the prompt; filled in by Validate
	forceWords, banWords cli.StringSlice
	Set                  func(flag string) bool
}

// Flags are the flags that set d.
func (d *Decode) Flags() []cli.Flag {
	d.values = decode.DefaultOptions()
	return append(d.searchFlags(), d.drawFlags()...)
}

const decodeCategory = "CAPTIONS"

// modelsOwn is the default of a flag that models have values of their own for.
func modelsOwn(v any) string { return fmt.Sprintf("the model's own, mostly %v", v) }

func (d *Decode) searchFlags() []cli.Flag {
	v := &d.values
	number := func(name, usage, text string, to *int, aliases ...string) cli.Flag {
		return &cli.IntFlag{Name: name, Aliases: aliases, Value: *to, DefaultText: text, Usage: usage,
			Category: decodeCategory, Destination: to}
	}
	real := func(name, usage, text string, to *float64) cli.Flag {
		return &cli.Float64Flag{Name: name, Value: *to, DefaultText: text, Usage: usage,
			Category: decodeCategory, Destination: to}
	}
	return []cli.Flag{
		&cli.StringFlag{Name: "decode", Value: "auto", Category: decodeCategory, Destination: &d.rule,
			Usage: "rules of the search: " + strings.Join(decode.RuleNames, ", ") +
				"; auto is the model's own, which for one of clip-text-decoder is Python's, token for token"},
		number("beam-size", "captions that are searched for at once; 1 takes the likeliest word each time",
			modelsOwn(v.Beam), &v.Beam, "beam"),
		number("max-len", "most tokens of a caption, a prompt not counted", modelsOwn(v.MaxLen), &v.MaxLen),
		number("min-length", "fewest tokens of a caption", modelsOwn(v.MinLen), &v.MinLen, "min-len"),
		real("length-penalty", "captions compare by log-probability / length^P; a larger `P` favors long ones",
			modelsOwn(v.LengthPenalty), &v.LengthPenalty),
		number("no-repeat-ngram", "no run of `N` tokens comes twice in a caption; 0 allows it",
			modelsOwn(v.NoRepeatNGram), &v.NoRepeatNGram),
		number("num-captions", "captions of each image, the best first", "1, with --diverse one of each group", &v.Captions),
		number("diverse", "split the beam into `N` groups that avoid each other's words, for captions that differ",
			"", &v.Groups),
		real("diversity", "how much a group avoids words of the groups before it", "", &v.Diversity),
		number("keywords", "also list `N` words that the captions of the search have, the likeliest first",
			"none", &v.Keywords),
		&cli.StringFlag{Name: "prompt", Category: decodeCategory, Destination: &d.prompt,
			Usage: "`TEXT` that every caption begins with; Florence-2 reads it beside the image instead; predict fills in {" +
				strings.Join(prompt.Names, "}, {") + "} of each image"},
		&cli.StringFlag{Name: "task", Category: decodeCategory, Destination: &d.task,
			Usage: "what Florence-2 writes: caption, detailed, more-detailed or ocr (the text in the image)"},
		&cli.StringSliceFlag{Name: "force", Category: decodeCategory, Destination: &d.forceWords,
			Usage: "a `WORD` that every caption must have, as a whole word; dog|puppy takes either; may be given several times"},
		&cli.StringSliceFlag{Name: "ban", Category: decodeCategory, Destination: &d.banWords,
			Usage: "a `WORD` that no caption may have, small or capital, nor one that is spelled with its tokens; " +
				"its other forms are words of their own: dog|dogs; may be given several times"},
	}
}

func (d *Decode) drawFlags() []cli.Flag {
	v := &d.values
	return []cli.Flag{
		&cli.BoolFlag{Name: "sample", Category: decodeCategory, Destination: &v.Sample,
			Usage: "draw captions at random instead of searching for the best"},
		&cli.Float64Flag{Name: "temperature", Value: v.Temperature, Category: decodeCategory, Destination: &v.Temperature,
			Usage: "of --sample: below 1 safer, above 1 wilder"},
		&cli.IntFlag{Name: "top-k", Value: v.TopK, Category: decodeCategory, Destination: &v.TopK,
			Usage: "of --sample: draw among the `K` likeliest tokens"},
		&cli.Float64Flag{Name: "top-p", Value: v.TopP, Category: decodeCategory, Destination: &v.TopP,
			Usage: "of --sample: and among the fewest that hold this share of probability"},
		&cli.Uint64Flag{Name: "seed", Category: decodeCategory, Destination: &v.Seed,
			Usage: "of --sample: with the image itself, decides all draws"},
	}
}

// request is what the flags that were given ask for.
func (d *Decode) request() decode.Request {
	v := &d.values
	text := d.prompt
	if !d.template.Variable() { // its braces are written twice
		text = d.template.Expand(nil)
	}
	return decode.Request{
		Rule:          given(d, decode.FieldRule, &d.rule),
		Beam:          given(d, decode.FieldBeam, &v.Beam),
		MaxLen:        given(d, decode.FieldMaxLen, &v.MaxLen),
		MinLen:        given(d, decode.FieldMinLen, &v.MinLen),
		LengthPenalty: given(d, decode.FieldLengthPenalty, &v.LengthPenalty),
		NoRepeatNGram: given(d, decode.FieldNoRepeatNGram, &v.NoRepeatNGram),
		Captions:      given(d, decode.FieldCaptions, &v.Captions),
		Groups:        given(d, decode.FieldGroups, &v.Groups),
		Diversity:     given(d, decode.FieldDiversity, &v.Diversity),
		Keywords:      given(d, decode.FieldKeywords, &v.Keywords),
		Prompt:        given(d, decode.FieldPrompt, &text),
		Task:          given(d, decode.FieldTask, &d.task),
		Sample:        given(d, decode.FieldSample, &v.Sample),
		Temperature:   given(d, decode.FieldTemperature, &v.Temperature),
		TopK:          given(d, decode.FieldTopK, &v.TopK),
		TopP:          given(d, decode.FieldTopP, &v.TopP),
		Seed:          given(d, decode.FieldSeed, &v.Seed),
		Force:         d.forceWords.Value(),
		Ban:           d.banWords.Value(),
	}
}

// given is nil for a flag that was not.
func given[T any](d *Decode, f decode.Field, v *T) *T {
	if !d.Set(strings.TrimPrefix(FlagOf(f), "--")) {
		return nil
	}
	return v
}

// FlagOf is the flag of a field.
func FlagOf(f decode.Field) string { return "--" + strings.ReplaceAll(string(f), "_", "-") }

// Validate checks the flags as far as that needs no model.
func (d *Decode) Validate() (err error) {
	if d.template, err = prompt.Parse(d.prompt); err != nil {
		return console.Usagef(console.HintOf(err), "--%s", err)
	}
	return inFlags(d.request().Check())
}

// Template is the prompt, if it has variables; nil for others. It is there after Validate.
func (d *Decode) Template() prompt.Template {
	if !d.template.Variable() {
		return nil
	}
	return d.template
}

// ApplyPrompt is Apply with a prompt that has its variables filled in.
func (d *Decode) ApplyPrompt(m searched, text string) (decode.Options, error) {
	r := d.request()
	r.Prompt = &text
	o, err := r.Resolve(m.Defaults(), m.Encode, m.Positions())
	return o, inFlags(err)
}

// searched is what decoding options need to know of the model that they are for.
type searched interface {
	Defaults() decode.Options   // as the model file asks for, with its own BOS and EOS
	Positions() int             // tokens that prompt and caption may have together
	Encode(text string) []int32 // tokens of a text that captions begin with
}

// Apply puts what was given into the options that a model asks for.
func (d *Decode) Apply(m searched) (decode.Options, error) {
	o, err := d.request().Resolve(m.Defaults(), m.Encode, m.Positions())
	return o, inFlags(err)
}

// inFlags names the fields of an error as flags.
func inFlags(err error) error {
	var wrong decode.FieldErrors
	if !errors.As(err, &wrong) {
		return err
	}
	var errs []error
	for _, e := range wrong {
		hint := ""
		if e.Against != "" {
			hint = "leave out one of them"
		}
		errs = append(errs, console.Usagef(hint, "%s", e.Text(FlagOf)))
	}
	return errors.Join(errs...)
}
