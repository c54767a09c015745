package decode

// Caption is what an image was given, as text.
type Caption struct {
	Text         string
	LogProb      float64   // natural logarithm of the caption's probability under the model
	Confidence   float64   // geometric mean of its tokens' probabilities, 0 to 1
	Tokens       []int32   // without the begin and end token
	Alternatives []Caption // the next best, where more than one caption was asked for
	Keywords     []Keyword // of the best caption and of the others that the search found, where Options.Keywords asks
}

// Keyword is a word that says what an image shows, in its dictionary form.
type Keyword struct {
	Word        string
	Probability float64 // share of the found captions that have it, by their probability under the model, 0 to 1
}
