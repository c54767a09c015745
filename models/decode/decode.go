// Package decode turns a language model's next-token scores into captions: greedy search, beam search, diverse beam
// search and sampling.
//
// It knows nothing about tensors. A model implements [Stepper]; [Run] drives it for many images at once and keeps the
// books. What an image gets does not depend on the other images of its batch: equal scores give equal captions, down to
// the order of ties.
//
// The package does not look inside tokens (no text, no vocabulary), never asks for the scores of a whole vocabulary,
// and allocates nothing in proportion to one.
//
// # Scores
//
// A hypothesis has the sum of the log-probabilities of the tokens that were chosen, the end token included; tokens that
// a prompt forces cost nothing. Its score is
//
//	sum / length^LengthPenalty
//
// where length counts the chosen tokens and the end token, not the prompt. A hypothesis that reached MaxLen without an
// end token counts what it has, and stands behind every finished one.
//
// # Beam search
//
// Each step ranks all continuations of an image's live beams by their sum. An end token among the best Beam of them
// finishes a hypothesis; the best Beam others live on. An image is finished when none of its live beams can still reach
// a score above the worst of the Captions hypotheses that it keeps (their sums can only fall, and their length grows to
// MaxLen at most), or at MaxLen. So with a beam wide enough to hold every prefix the result is the true optimum. A beam
// of one is greedy search: it ends with the first end token.
package decode

import "math"

// StepRequest is one step for all rows of all images that are still alive. The rows of one image are contiguous, every
// image has the same number of rows, and images keep their order. An image that no row continues is finished and its
// state can be dropped.
//
// The slices belong to Run: they are valid until Step returns, and a Stepper writes to none of them.
type StepRequest struct {
	Parents []int32   // for each row, the row of the previous step that it continues; nil at the first step
	Tokens  []int32   // the token to feed to each row
	K       int       // how many best next tokens to return a row; 0 while a prompt is fed: no scores are wanted
	Ban     [][]int32 // per row tokens that must not be returned; nil or short rows allowed; ids may repeat
	Extra   []int32   // tokens whose log-probabilities are wanted for every row beside the best K, for forced words
	Norms   bool      // Candidates.Norms are wanted
}

// Candidates are a step's answer: the K best next tokens of each row, best first, ties by the lower id.
// Log-probabilities are those of the softmax over the full vocabulary: a banned token keeps its share. Where fewer than
// K tokens are left, the rest has id -1.
type Candidates struct {
	IDs      []int32   // [rows*K]
	LogProbs []float32 // [rows*K]
	Extra    []float32 // [rows*len(StepRequest.Extra)]
	Norms    []float32 // [rows], where wanted: what a row's log-probabilities lack to be its logits
}

// Stepper is a language model over a batch of images that it already has.
type Stepper interface {
	Step(StepRequest) (Candidates, error)
}

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

// score is the package's one rule of length normalization.
func score(sum float64, length int, penalty float64) float64 {
	return sum / math.Pow(float64(length), penalty)
}
