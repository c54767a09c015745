// Package decode turns a language model's next-token scores into captions: greedy search, beam search, diverse beam search and sampling.
//
// It knows nothing about tensors. A model implements [Stepper]; [Run] drives it for many images at once and keeps the books. What an image
// gets does not depend on the other images of its batch: equal scores give equal captions, down to the order of ties.
//
// The package does not look inside tokens (no text, no vocabulary), never asks for the scores of a whole vocabulary, and allocates nothing
// in proportion to one.
//
// # Scores
//
// A hypothesis has the sum of the log-probabilities of the tokens that were chosen, the end token included; tokens that a prompt forces
// cost nothing. Its score is
//
//	sum / length^LengthPenalty
//
// where length counts the chosen tokens and the end token, not the prompt. A hypothesis that reached MaxLen without an end token counts
// what it has, and stands behind every finished one.
//
// # Beam search
//
// Each step ranks all continuations of an image's live beams by their sum. An end token among the best Beam of them finishes a hypothesis;
// the best Beam others live on. An image is finished when none of its live beams can still reach a score above the worst of the
// Captions hypotheses that it keeps (their sums can only fall, and their length grows to MaxLen at most), or at MaxLen. So with a beam wide
// enough to hold every prefix the result is the true optimum. A beam of one is greedy search: it ends with the first end token.
package decode

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Request is one step for all rows of all images that are still alive. The rows of one image are contiguous, every image has the same
// number of rows, and images keep their order. An image that no row continues is finished and its state can be dropped.
//
// The slices belong to Run: they are valid until Step returns, and a Stepper writes to none of them.
type Request struct {
	Parents []int32   // for each row, the row of the previous step that it continues; nil at the first step (one row an image)
	Tokens  []int32   // the token to feed to each row
	K       int       // how many best next tokens to return a row; 0 while a prompt is fed: no scores are wanted
	Ban     [][]int32 // per row tokens that must not be returned; nil or short rows allowed; ids may repeat
	Extra   []int32   // tokens whose log-probabilities are wanted for every row beside the best K; nil unless words are forced
}

// Candidates are a step's answer: the K best next tokens of each row, best first, ties by the lower id. Log-probabilities are those of the
// softmax over the full vocabulary: a banned token keeps its share. Where fewer than K tokens are left, the rest has id -1.
type Candidates struct {
	IDs      []int32   // [rows*K]
	LogProbs []float32 // [rows*K]
	Extra    []float32 // [rows*len(Request.Extra)]
}

// Stepper is a language model over a batch of images that it already has.
type Stepper interface {
	Step(Request) (Candidates, error)
}

// Options say how captions are chosen. Start from DefaultOptions: zero is a real value in several fields.
type Options struct {
	Rule Rule // by whose rules; those of Python know no settings but Beam, MaxLen and Captions, or TopK, Temperature, Seed and MaxLen

	Beam          int     // live hypotheses an image; 1 is greedy. The default is 3
	MaxLen        int     // most tokens chosen an image, the end token included, a prompt not. The default is 32
	MinLen        int     // fewest tokens before the end token. The default is 0
	LengthPenalty float64 // exponent of the length in the score; 0 compares sums. The default is 0.7
	NoRepeatNGram int     // no run of this many tokens occurs twice in a caption, prompt included; 0 is off. The default is 3
	Captions      int     // hypotheses kept an image, at most Beam unless sampling. The default is 1

	// EarlyStopping, where it is not empty, searches as Hugging Face's generate does with that setting: StopFalse, StopTrue or StopNever. It has no
	// say in a beam of one, in groups, in a draw, and where words are forced.
	EarlyStopping string

	BOS, EOS int32     // the first token fed, and the one that ends a caption. The default is GPT-2's 50256 for both
	Prompt   []int32   // tokens that every caption starts with
	Ban      [][]int32 // runs of tokens that never occur, of one token or more; one that a prompt begins is not completed

	// Force holds words that every caption must have, each as the runs of tokens that stand for it (spellings, synonyms): one of them must
	// occur, in the prompt or behind it. A beam of two or more is needed.
	Force [][][]int32

	// Inside says whether a token goes on with the word before it, as "bra" does in " ze", "bra". A run of Force counts only as a whole word: no
	// such token may follow it, and where it begins with one, it must be the caption's beginning. With nil each token stands for itself.
	Inside func(token int32) bool

	Groups    int     // Beam is split into this many groups that avoid each other's words; 1 is plain beam search, the default
	Diversity float64 // taken from a token's log-probability for each earlier group that chose it at the same step. The default is 0.5

	Sample      bool    // draw tokens instead of searching; Beam, Groups and Force do not apply
	Temperature float64 // of the draw; 0 always takes the best token. The default is 1
	TopK        int     // draw among this many best tokens, 1 to MaxTopK. The default is 50
	TopP        float64 // and among the fewest of these that hold this share of their probability. The default is 1
	Seed        uint64  // with an image's id, decides all its draws. The default is 0

	// IDs are the images' own numbers for the draw; nil numbers them by their place in the batch. Give what stays with an image (a
	// checksum of its pixels) and its captions do not depend on the batch or the order.
	IDs []uint64
}

// MaxTopK bounds Options.TopK: more than this is not a truncated draw any more, and would ask the model for whole vocabularies.
const MaxTopK = 1024

// DefaultOptions returns the defaults that Options names.
func DefaultOptions() Options {
	return Options{
		Beam: 3, MaxLen: 32, LengthPenalty: 0.7, NoRepeatNGram: 3, Captions: 1, BOS: 50256, EOS: 50256,
		Groups: 1, Diversity: 0.5, Temperature: 1, TopK: 50, TopP: 1,
	}
}

// Validate reports everything that is wrong with o, joined in one error; nil if nothing is.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.MaxLen >= 1, "max length %d, want at least 1", o.MaxLen)
	check(o.MinLen >= 0 && o.MinLen < max(o.MaxLen, 1), "min length %d, want 0 to %d (below the max length)", o.MinLen, max(o.MaxLen-1, 0))
	check(!math.IsNaN(o.LengthPenalty) && math.Abs(o.LengthPenalty) <= 10, "length penalty %g, want -10 to 10", o.LengthPenalty)
	check(o.NoRepeatNGram >= 0, "no-repeat n-gram %d, want 0 (off) or more", o.NoRepeatNGram)
	check(o.Captions >= 1, "number of captions %d, want at least 1", o.Captions)
	check(o.EOS >= 0 && o.BOS >= 0, "begin token %d and end token %d, want 0 or more", o.BOS, o.EOS)
	check(slices.Contains([]string{"", StopFalse, StopTrue, StopNever}, o.EarlyStopping), "early stopping %q, want false, true, never or none", o.EarlyStopping)
	for i, run := range o.Ban {
		check(len(run) > 0, "banned run %d has no tokens", i)
		check(!slices.Contains(run, o.EOS), "banned run %v holds the end token %d", run, o.EOS)
	}
	if o.Rule != Search {
		errs = append(errs, o.validatePython()...)
	}
	if o.Sample {
		check(o.Temperature >= 0 && o.Temperature <= 100, "temperature %g, want 0 to 100", o.Temperature)
		check(o.TopK >= 1 && o.TopK <= MaxTopK, "top-k %d, want 1 to %d", o.TopK, MaxTopK)
		check(o.TopP > 0 && o.TopP <= 1, "top-p %g, want above 0 and at most 1", o.TopP)
		check(o.Captions <= maxRows, "number of captions %d, want at most %d", o.Captions, maxRows)
		check(len(o.Force) == 0, "forced words need a search, not a draw")
	} else {
		check(o.Beam >= 1 && o.Beam <= maxRows, "beam size %d, want 1 to %d", o.Beam, maxRows)
		check(o.Captions <= max(o.Beam, 1), "number of captions %d, want at most the beam size %d", o.Captions, o.Beam)
		check(o.Groups >= 1 && o.Beam%max(o.Groups, 1) == 0, "diverse groups %d, want a divisor of the beam size %d", o.Groups, o.Beam)
		check(len(o.Force) == 0 || o.Beam >= 2 && o.Groups == 1, "forced words need a beam of 2 or more and no groups, found a beam of %d in %d groups", o.Beam, o.Groups)
		errs = append(errs, o.validateForce()...)
		check(o.Diversity >= 0 && o.Diversity <= 1000, "diversity %g, want 0 to 1000", o.Diversity)
	}
	return errors.Join(errs...)
}

// validatePython refuses what the Python package does not have, which would be left out silently.
func (o Options) validatePython() (errs []error) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Rule == Python || o.Rule == PythonSample, "rule %q, want %q, %q or none", o.Rule, Python, PythonSample)
	check(o.MaxLen >= 2, "max length %d under rule %s, want 2 or more: the begin token counts", o.MaxLen, o.Rule)
	check(!o.Sample && o.MinLen == 0 && o.NoRepeatNGram == 0 && o.Groups == 1, "rule %s knows no sampling, min length, no-repeat n-gram or groups", o.Rule)
	check(len(o.Prompt)+len(o.Ban)+len(o.Force) == 0, "rule %s knows no prompt and no banned or forced words", o.Rule)
	if o.Rule == PythonSample {
		check(o.Temperature > 0 && o.TopK >= 1 && o.TopK <= MaxTopK, "temperature %g and top-k %d, want above 0, and 1 to %d", o.Temperature, o.TopK, MaxTopK)
		check(o.Captions == 1, "number of captions %d under rule %s, want 1", o.Captions, o.Rule)
	}
	return errs
}

// maxForced bounds the words that can be forced at once: the beam must hold captions with none, one, … and all of them.
const maxForced = 16

func (o Options) validateForce() (errs []error) {
	if len(o.Force) > maxForced {
		errs = append(errs, fmt.Errorf("%d forced words, want at most %d", len(o.Force), maxForced))
	}
	tokens := 0
	for i, runs := range o.Force {
		if len(runs) == 0 {
			errs = append(errs, fmt.Errorf("forced word %d has no run of tokens", i))
			continue
		}
		shortest := len(runs[0])
		for _, run := range runs {
			shortest = min(shortest, len(run))
			if len(run) == 0 || slices.Contains(run, o.EOS) {
				errs = append(errs, fmt.Errorf("forced word %d: found run %v, want tokens without the end token", i, run))
			}
		}
		if !slices.ContainsFunc(runs, func(run []int32) bool { return !o.bans(run) }) {
			errs = append(errs, fmt.Errorf("forced word %d is banned", i))
		}
		tokens += shortest
	}
	if tokens > 0 && tokens >= o.MaxLen {
		errs = append(errs, fmt.Errorf("forced words of %d tokens and an end token do not fit in a max length of %d", tokens, o.MaxLen))
	}
	return errs
}

// bans says whether a run holds a banned one.
func (o Options) bans(run []int32) bool {
	return slices.ContainsFunc(o.Ban, func(ban []int32) bool { return len(ban) > 0 && contains(run, ban) })
}

// maxRows bounds the rows of one image.
const maxRows = 256

// Hypothesis is one caption of an image.
type Hypothesis struct {
	Tokens   []int32 // prompt and chosen tokens, without BOS and EOS
	LogProb  float64 // sum of the natural log-probabilities of the chosen tokens, the end token included
	Score    float64 // LogProb / Length^LengthPenalty
	Length   int     // tokens in LogProb: the chosen ones and the end token
	Finished bool    // ended by its end token, not cut by MaxLen
}

// Confidence is the geometric mean of the chosen tokens' probabilities, 0 to 1.
func (h Hypothesis) Confidence() float64 {
	if h.Length == 0 {
		return 0
	}
	return math.Exp(h.LogProb / float64(h.Length))
}

// score is the package's one rule of length normalisation.
func score(sum float64, length int, penalty float64) float64 {
	return sum / math.Pow(float64(length), penalty)
}
