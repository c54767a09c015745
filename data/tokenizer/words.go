package tokenizer

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// words are what a tokenizer of whole words knows beside its vocabulary.
type words struct{ unknown int32 }

// NewWords makes the tokenizer of clip-text-decoder 1.0.0 (its tokenizer.py): a token a word or a mark, UNK for every
// other, BOS and EOS at the ends. tokens stand by id. [Tokenizer.Decode] joins them as it does, special ones with
// them. Text becomes words at spaces and around marks, where Python has spaCy's rules for English: that is for
// prompts, and near enough. Its tokenizer.json is Hugging Face's WordLevel, between Whitespace and Punctuation.
func NewWords(tokens []string) (*Tokenizer, error) {
	m := &model{tokens: tokens, inside: len(tokens), ids: make(map[string]int32, len(tokens)), cache: map[string][]int32{}}
	for id, token := range tokens {
		if old, twice := m.ids[token]; twice {
			return nil, FormatError(fmt.Sprintf("token %q has two ids, %d and %d", token, old, id))
		}
		m.ids[token] = int32(id)
	}
	var special [3]int32
	for i, name := range []string{"UNK", "BOS", "EOS"} {
		id, ok := m.ids[name]
		if !ok {
			return nil, FormatError("no token " + name + " among the words")
		}
		special[i] = id
	}
	none := &addedTokens{byID: map[int32]int{}}
	return &Tokenizer{model: m, added: none, bos: special[1], eos: special[2], words: &words{special[0]}}, nil
}

// json is [Tokenizer.JSON] for whole words.
func (w *words) json(m *model) ([]byte, error) {
	type kind struct {
		Type string `json:"type"`
	}
	type sequence struct {
		Type  string `json:"type"`
		Parts []kind `json:"pretokenizers"`
	}
	type wordLevel struct {
		Type    string          `json:"type"`
		Vocab   json.RawMessage `json:"vocab"`
		Unknown string          `json:"unk_token"`
	}
	vocab, err := vocabJSON(m.tokens)
	if err != nil {
		return nil, err
	}
	return marshal(struct {
		Version       string       `json:"version"`
		Truncation    *struct{}    `json:"truncation"`
		Padding       *struct{}    `json:"padding"`
		Added         []AddedToken `json:"added_tokens"`
		Normalizer    *kind        `json:"normalizer"`
		PreTokenizer  sequence     `json:"pre_tokenizer"`
		PostProcessor *kind        `json:"post_processor"`
		Decoder       *kind        `json:"decoder"`
		Model         wordLevel    `json:"model"`
	}{Version: "1.0", Added: []AddedToken{}, PreTokenizer: sequence{"Sequence", []kind{{"Whitespace"}, {"Punctuation"}}},
		Model: wordLevel{"WordLevel", vocab, "UNK"}})
}

// words makes the tokenizer of a file that words.json wrote.
func (f *file) words() (*Tokenizer, error) {
	split := f.PreTokenizer.flat()
	between := len(split) == 2 && split[0].Type == "Whitespace" && split[1].Type == "Punctuation"
	if !between || f.Normalizer != nil || f.Decoder != nil || len(f.Added) > 0 {
		return nil, UnsupportedError("whole words that are not between Whitespace and Punctuation alone")
	}
	tokens, err := byID(f.Model.Vocab, nil)
	if err != nil {
		return nil, err
	}
	return NewWords(tokens)
}

// Words says whether a token is a whole word (see [NewWords]).
func (t *Tokenizer) Words() bool { return t.words != nil }

const blank = `[\s\v\x1c-\x1f\x{85}\p{Z}]` // as Python's \s

var (
	spaceBefore = regexp.MustCompile(blank + `([.,?!')])`)
	spaceAfter  = regexp.MustCompile(`([(])` + blank)
	wordOrMark  = regexp.MustCompile(`[\pL\pN]+|[^\s\pL\pN]`)
)

// join is the untokenize of tokenizer.py.
func (w *words) join(m *model, ids []int32) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = "UNK"
		if id >= 0 && int(id) < len(m.tokens) {
			parts[i] = m.tokens[id]
		}
	}
	s := spaceBefore.ReplaceAllString(strings.Join(parts, " "), "$1")
	return spaceAfter.ReplaceAllString(s, "$1")
}

// split adds the ids of a text's words.
func (w *words) split(m *model, dst []int32, s string) []int32 {
	for _, word := range wordOrMark.FindAllString(s, -1) {
		id, ok := m.ids[word]
		if !ok {
			id = w.unknown
		}
		dst = append(dst, id)
	}
	return dst
}
