package bert

import (
	"errors"
	"fmt"
	"io/fs"

	"captioner/data/tokenizer"
	"captioner/models/encoder"
	"captioner/weights/plural"
)

// ReadTokenizer reads the tokenizer of a folder of Hugging Face: tokenizer.json, or vocab.txt with what
// tokenizer_config.json says of it. A model's vocabulary may be padded above the tokenizer's, not the other way
// round.
func ReadTokenizer(beside encoder.Folder, vocabulary int64) (tokenizer.Codec, error) {
	t, err := readTokenizer(beside)
	if err != nil {
		return nil, err
	}
	if int64(t.VocabSize()) > vocabulary {
		return nil, fmt.Errorf("tokenizer: found %s, want at most the decoder's %d", plural.Count(t.VocabSize(), "token"),
			vocabulary)
	}
	return t, nil
}

// TokenizerFiles are the files one of which ReadTokenizer needs.
var TokenizerFiles = []string{"tokenizer.json", "vocab.txt"}

func readTokenizer(beside encoder.Folder) (tokenizer.Codec, error) {
	switch text, err := beside.Read("tokenizer.json"); {
	case err == nil:
		return parseTokenizer(text, beside)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	vocab, err := beside.Read("vocab.txt")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("tokenizer: %w", encoder.NoTokenizer(TokenizerFiles...))
	}
	if err != nil {
		return nil, err
	}
	settings := struct { // of a tokenizer that is made of a vocab.txt
		Lower bool `json:"do_lower_case"`
		Clean bool `json:"clean_up_tokenization_spaces"`
	}{true, true} // BertTokenizer's
	if err := encoder.ReadOptional(beside, "tokenizer_config.json", &settings); err != nil {
		return nil, err
	}
	o := tokenizer.WordPieceOptions{Lowercase: settings.Lower, CleanUp: true, CleanUpSpaces: settings.Clean}
	return tokenizer.NewWordPiece(vocab, nil, o)
}

// parseTokenizer reads a tokenizer.json, and of the tokenizer_config.json beside it how spaces are cleaned up.
func parseTokenizer(text []byte, beside encoder.Folder) (tokenizer.Codec, error) {
	t, err := tokenizer.Read(text)
	words, ok := t.(*tokenizer.WordPiece)
	if err != nil || !ok {
		return t, err
	}
	settings := struct {
		Clean bool `json:"clean_up_tokenization_spaces"`
	}{words.Options().CleanUpSpaces}
	if err := encoder.ReadOptional(beside, "tokenizer_config.json", &settings); err != nil {
		return nil, err
	}
	return words.CleaningSpaces(settings.Clean), nil
}
