package florence2

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"captioner/data/tokenizer"
	"captioner/models/encoder"
)

// bartTokens is the size of BART's vocabulary, without what Florence-2 adds to it.
const bartTokens = 50265

// addedTokens are what Florence-2's processor adds to BART's vocabulary, in the order of their ids (that of the
// authors, processing_florence2.py of microsoft/Florence-2-base).
func addedTokens() []string {
	list := []string{"<od>", "</od>", "<ocr>", "</ocr>"}
	for i := range 1000 {
		list = append(list, fmt.Sprintf("<loc_%d>", i))
	}
	return append(list, "<cap>", "</cap>", "<ncap>", "</ncap>", "<dcap>", "</dcap>", "<grounding>", "</grounding>",
		"<seg>", "</seg>", "<sep>", "<region_cap>", "</region_cap>", "<region_to_desciption>", "</region_to_desciption>",
		"<proposal>", "</proposal>", "<poly>", "</poly>", "<and>")
}

// readTokenizer reads the tokenizer of a folder: tokenizer.json, or vocab.json and merges.txt. Those of the authors are
// BART's alone, and their processor adds Florence-2's tokens. A model's vocabulary may be padded above the
// tokenizer's, not the other way round.
func readTokenizer(beside encoder.Folder, vocabulary int64) (*tokenizer.Tokenizer, error) {
	t, err := readFiles(beside)
	if err != nil {
		return nil, err
	}
	if n := int64(t.VocabSize()); n > vocabulary {
		const message = "tokenizer: found %d tokens, want at most the decoder's %d: it is that of another fine-tune"
		return nil, fmt.Errorf(message, n, vocabulary)
	}
	return t, nil
}

func readFiles(beside encoder.Folder) (*tokenizer.Tokenizer, error) {
	text, err := beside.Read("tokenizer.json")
	if err == nil {
		t, err := tokenizer.Parse(text)
		if err != nil || !lacks(t) {
			return t, err
		}
		if text, err = withAdded(text, t); err != nil {
			return nil, err
		}
		return tokenizer.Parse(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	vocab, err := beside.Read("vocab.json")
	merges, err2 := beside.Read("merges.txt")
	switch err := errors.Join(err, err2); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("tokenizer: %w", encoder.NoTokenizer("tokenizer.json", "vocab.json with merges.txt"))
	case err != nil:
		return nil, err
	}
	more, err := besideVocabulary(beside)
	if err != nil {
		return nil, err
	}
	return tokenizer.NewBART(vocab, merges, more)
}

// besideVocabulary are the tokens beside those of a vocab.json: in added_tokens.json, or Florence-2's own.
func besideVocabulary(beside encoder.Folder) (list []tokenizer.AddedToken, err error) {
	var ids map[string]int32
	if err := encoder.ReadOptional(beside, "added_tokens.json", &ids); err != nil {
		return nil, err
	}
	if ids == nil {
		ids = map[string]int32{}
		for i, content := range addedTokens() {
			ids[content] = int32(bartTokens + i)
		}
	}
	for content, id := range ids {
		list = append(list, tokenizer.AddedToken{ID: id, Content: content, Special: true})
	}
	slices.SortFunc(list, func(a, b tokenizer.AddedToken) int { return int(a.ID - b.ID) })
	return list, nil
}

// lacks says whether a tokenizer is BART's alone.
func lacks(t *tokenizer.Tokenizer) bool {
	_, ok := t.ID(addedTokens()[0])
	return !ok && t.VocabSize() == bartTokens
}

// withAdded is BART's tokenizer.json with Florence-2's tokens.
func withAdded(text []byte, t *tokenizer.Tokenizer) ([]byte, error) {
	var file map[string]json.RawMessage
	var added []json.RawMessage
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(file["added_tokens"], &added); err != nil {
		return nil, err
	}
	for i, content := range addedTokens() {
		one, err := json.Marshal(tokenizer.AddedToken{ID: int32(t.VocabSize() + i), Content: content, Special: true})
		if err != nil {
			return nil, err
		}
		added = append(added, one)
	}
	list, err := json.Marshal(added)
	if err != nil {
		return nil, err
	}
	file["added_tokens"] = list
	return json.Marshal(file)
}
