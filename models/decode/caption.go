package decode

// Caption is what an image was given, as text.
type Caption struct {
	Text         string
	LogProb      float64   // natural logarithm of the caption's probability under the model
	Confidence   float64   // geometric mean of its tokens' probabilities, 0 to 1
	Tokens       []int32   // without the begin and end token
	Alternatives []Caption // the next best, where more than one caption was asked for
}
