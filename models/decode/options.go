package decode

import (
	"fmt"
	"math"
	"slices"

	"captioner/weights/plural"
)

// Options say how captions are chosen. Start from DefaultOptions: zero is a real value in several fields.
type Options struct {
	// Rule says by whose rules. Those of clip-text-decoder know no settings but Beam, MaxLen and Captions, or TopK,
	// Temperature, Seed and MaxLen.
	Rule Rule

	Beam          int     // live hypotheses an image; 1 is greedy. The default is 3
	MaxLen        int     // most tokens chosen an image, the end token included, a prompt not. The default is 32
	MinLen        int     // fewest tokens before the end token. The default is 0
	LengthPenalty float64 // exponent of the length in the score; 0 compares sums. The default is 0.7
	NoRepeatNGram int     // no run of this many tokens occurs twice, prompt included; 0 is off. The default is 3
	Captions      int     // hypotheses kept an image, at most Beam unless sampling. The default is 1
	Keywords      int     // words of the hypotheses that are listed, at most MaxKeywords. The default is 0

	// EarlyStopping, where it is not empty, searches as Hugging Face's generate does with that setting: StopFalse,
	// StopTrue or StopNever, or as LAVIS's does (StopLAVIS). It does not apply to a beam of one, to groups, to a draw, and
	// to forced words.
	EarlyStopping string

	BOS, EOS int32     // the first token fed, and the one that ends a caption. The default is GPT-2's 50256 for both
	Ends     []int32   // further tokens that end a caption
	Prompt   []int32   // tokens that every caption starts with
	Ban      [][]int32 // runs of tokens that never occur, of one token or more; one that a prompt begins is not completed

	// RepetitionPenalty is Hugging Face's: it makes tokens that a caption already has less likely, and 0 and 1 are
	// off. The Stepper applies it, for it needs whole vocabularies.
	RepetitionPenalty float64

	// Processors are what else Hugging Face's generate does to scores.
	Processors Processors

	// Reading, where it is not nil, says that Prompt is read beside the image, and is no part of captions. Run wants
	// none: what was read is in Read then, for Processors.
	Reading *Reading
	Read    []int32
	Task    string // that Prompt asks for, by its name in Reading.Tasks; "" where it is a prompt of the user's own

	// Opening is the text of Prompt where the model brings it; see OpenWith. "" is none.
	Opening string

	// MaxLenOfAll and MinLenOfAll say that MaxLen and MinLen are those of prompt and caption together, as max_length and
	// min_length are in generate. Resolve settles them.
	MaxLenOfAll, MinLenOfAll bool

	// Force holds words that every caption must have, each as the runs of tokens that stand for it (spellings, synonyms):
	// one of them must occur, in the prompt or behind it. A beam of two or more is needed.
	Force [][][]int32

	// Inside says whether a token goes on with the word before it, as "bra" does in " ze", "bra". A run of Force counts
	// only as a whole word: no such token may follow it, and where it begins with one, it must be the caption's beginning.
	// With nil each token stands for itself.
	Inside func(token int32) bool

	Groups    int     // Beam is split into this many groups that avoid each other's words. The default is 1
	Diversity float64 // taken from a token's log-probability for each earlier group that chose it. The default is 0.5

	Sample      bool    // draw tokens instead of searching; Beam, Groups and Force do not apply
	Temperature float64 // of the draw; 0 always takes the best token. The default is 1
	TopK        int     // draw among this many best tokens, 1 to MaxTopK. The default is 50
	TopP        float64 // and among the fewest of these that hold this share of their probability. The default is 1
	Seed        uint64  // with an image's id, decides all its draws. The default is 0

	// IDs are the images' own numbers for the draw; nil numbers them by their position in the batch. Give what stays with
	// an image (a checksum of its pixels) and its captions do not depend on the batch or the order.
	IDs []uint64
}

// MaxTopK bounds Options.TopK: more than this is not a truncated draw any more, and would ask the model for whole
// vocabularies.
const MaxTopK = 1024

// MaxKeywords bounds the words of an image that are listed.
const MaxKeywords = 100

// Pool is how many hypotheses of each image say what keywords there are: all that a search keeps, of a draw those that
// were drawn. The first Captions of them are the same whether there are more or not.
func (o Options) Pool() int {
	if o.Keywords == 0 || o.Sample || o.Rule == ClipDecoderSample {
		return o.Captions
	}
	return max(o.Captions, o.Beam)
}

// maxForced bounds the words that can be forced at once: the beam must hold captions with none, one, … and all of them.
const maxForced = 16

// maxRows bounds the rows of one image.
const maxRows = 256

// DefaultOptions returns the defaults that Options names.
func DefaultOptions() Options {
	return Options{
		Beam: 3, MaxLen: 32, LengthPenalty: 0.7, NoRepeatNGram: 3, Captions: 1, BOS: 50256, EOS: 50256,
		Groups: 1, Diversity: 0.5, Temperature: 1, TopK: 50, TopP: 1,
	}
}

// ends says whether a token ends a caption.
func (o Options) ends(token int32) bool { return token == o.EOS || slices.Contains(o.Ends, token) }

// Validate reports everything that is wrong with o as FieldErrors; nil if nothing is.
func (o Options) Validate() error { return o.check().err() }

func (o Options) check() FieldErrors {
	errs := o.checkCommon()
	if o.Rule != Search {
		errs = append(errs, o.checkClipDecoder()...)
	}
	if o.Sample {
		return append(errs, o.checkSample()...)
	}
	return append(append(errs, o.checkBeam()...), o.checkForce()...)
}

// checks collects what is wrong.
type checks struct{ errs FieldErrors }

func (c *checks) that(ok bool, f Field, found any, want string, args ...any) {
	if !ok {
		c.errs = append(c.errs, &FieldError{Field: f, Found: fmt.Sprint(found), Want: fmt.Sprintf(want, args...)})
	}
}

// checkCommon checks what holds for every search and draw.
func (o Options) checkCommon() FieldErrors {
	var c checks
	c.that(o.MaxLen >= 1, FieldMaxLen, o.MaxLen, "1 or more")
	c.that(o.MinLen >= 0 && o.MinLen <= max(o.MaxLen, 0), FieldMinLen, o.MinLen,
		"0 to %d, the longest caption", max(o.MaxLen, 0))
	penalty := o.LengthPenalty
	c.that(!math.IsNaN(penalty) && math.Abs(penalty) <= 10, FieldLengthPenalty, penalty, "-10 to 10")
	c.that(o.RepetitionPenalty >= 0 && o.RepetitionPenalty <= 100, fieldPenalty, o.RepetitionPenalty, "0 to 100")
	c.that(o.NoRepeatNGram >= 0, FieldNoRepeatNGram, o.NoRepeatNGram, "0 (off) or more")
	c.that(o.Captions >= 1, FieldCaptions, o.Captions, "1 or more")
	c.that(o.Keywords >= 0 && o.Keywords <= MaxKeywords, FieldKeywords, o.Keywords, "0 to %d", MaxKeywords)
	c.that(o.EOS >= 0 && o.BOS >= 0, fieldTokens, fmt.Sprintf("%d and %d", o.BOS, o.EOS), "0 or more")
	c.that(slices.Contains([]string{"", StopFalse, StopTrue, StopNever, StopLAVIS}, o.EarlyStopping),
		fieldEarlyStopping, fmt.Sprintf("%q", o.EarlyStopping), "false, true, never or none")
	for _, run := range o.Ban {
		c.that(len(run) > 0 && !slices.ContainsFunc(run, o.ends), FieldBan, run, "runs of tokens without the end token")
	}
	return c.errs
}

// checkSample checks a draw.
func (o Options) checkSample() FieldErrors {
	var c checks
	c.that(o.Temperature >= 0 && o.Temperature <= 100, FieldTemperature, o.Temperature, "0 to 100")
	c.that(o.TopK >= 1 && o.TopK <= MaxTopK, FieldTopK, o.TopK, "1 to %d", MaxTopK)
	c.that(o.TopP > 0 && o.TopP <= 1, FieldTopP, o.TopP, "above 0 and at most 1")
	c.that(o.Captions <= maxRows, FieldCaptions, o.Captions, "at most %d", maxRows)
	if len(o.Force) > 0 {
		c.errs = append(c.errs, &FieldError{Field: FieldSample, Against: FieldForce})
	}
	return c.errs
}

// checkBeam checks a search.
func (o Options) checkBeam() FieldErrors {
	var c checks
	c.that(o.Beam >= 1 && o.Beam <= maxRows, FieldBeam, o.Beam, "1 to %d", maxRows)
	c.that(o.Captions <= max(o.Beam, 1), FieldCaptions, o.Captions, "at most the beam size of %d", o.Beam)
	c.that(o.Groups >= 1, FieldGroups, o.Groups, "1 or more")
	c.that(o.Groups < 1 || o.Beam%o.Groups == 0, FieldGroups, o.Groups, "a divisor of the beam size of %d", o.Beam)
	c.that(len(o.Force) == 0 || o.Beam != 1, FieldBeam, o.Beam, "2 or more for forced words")
	if len(o.Force) > 0 && o.Groups > 1 {
		c.errs = append(c.errs, &FieldError{Field: FieldForce, Against: FieldGroups})
	}
	c.that(o.Diversity >= 0 && o.Diversity <= 1000, FieldDiversity, o.Diversity, "0 to 1000")
	return c.errs
}

// checkClipDecoder refuses what the rules of clip-text-decoder do not have: it would be left out silently.
func (o Options) checkClipDecoder() FieldErrors {
	var c checks
	rules := []Rule{ClipDecoder, ClipDecoderSample, ClipCap, CoCa}
	if !slices.Contains(rules, o.Rule) {
		c.that(false, FieldRule, fmt.Sprintf("%q", o.Rule), "one of %q or none", rules)
		return c.errs
	}
	c.that(o.MaxLen >= 2, FieldMaxLen, o.MaxLen, "2 or more under the rule %s: the begin token counts", o.Rule)
	for _, f := range []struct {
		set   bool
		field Field
	}{
		{o.Sample, FieldSample}, {o.MinLen != 0 && o.Rule != CoCa, FieldMinLen}, {o.NoRepeatNGram != 0, FieldNoRepeatNGram},
		{o.Groups > 1, FieldGroups}, {o.Begun() > 0, FieldPrompt}, {len(o.Ban) > 0, FieldBan},
		{len(o.Force) > 0, FieldForce},
	} {
		if f.set {
			c.errs = append(c.errs, &FieldError{Field: FieldRule, Found: string(o.Rule), Against: f.field})
		}
	}
	if o.Rule == ClipDecoderSample {
		c.that(o.Temperature > 0, FieldTemperature, o.Temperature, "more than 0")
		c.that(o.TopK >= 1 && o.TopK <= MaxTopK, FieldTopK, o.TopK, "1 to %d", MaxTopK)
		c.that(o.Captions == 1, FieldCaptions, o.Captions, "1 under the rule %s", o.Rule)
	}
	return c.errs
}

// checkForce checks the words that every caption must have.
func (o Options) checkForce() FieldErrors {
	var c checks
	c.that(len(o.Force) <= maxForced, FieldForce, fmt.Sprintf("of %s", plural.Count(len(o.Force), "word")), "at most %d",
		maxForced)
	tokens := 0
	for i, runs := range o.Force {
		word := fmt.Sprintf("word %d", i)
		if len(runs) == 0 {
			c.that(false, FieldForce, word, "a run of tokens")
			continue
		}
		shortest := len(runs[0])
		for _, run := range runs {
			shortest = min(shortest, len(run))
			c.that(len(run) > 0 && !slices.ContainsFunc(run, o.ends), FieldForce, fmt.Sprintf("%s as %d", word, run),
				"tokens without the end token")
		}
		if !slices.ContainsFunc(runs, func(run []int32) bool { return !o.bans(run) }) {
			c.errs = append(c.errs, &FieldError{Field: FieldForce, Found: word, Against: FieldBan})
		}
		tokens += shortest
	}
	c.that(tokens == 0 || tokens < o.MaxLen, FieldForce, fmt.Sprintf("of %s", plural.Count(tokens, "token")),
		"fewer than the longest caption's %d: it ends with an end token", o.MaxLen)
	return c.errs
}

// bans says whether a run holds a banned one.
func (o Options) bans(run []int32) bool {
	return slices.ContainsFunc(o.Ban, func(ban []int32) bool { return len(ban) > 0 && contains(run, ban) })
}

// Of are the options for images from to to, without to, of a batch that o is for: each keeps its own number.
func (o Options) Of(from, to int) Options {
	if o.IDs != nil {
		o.IDs = o.IDs[from:to]
		return o
	}
	if from > 0 {
		for i := from; i < to; i++ {
			o.IDs = append(o.IDs, uint64(i))
		}
	}
	return o
}
