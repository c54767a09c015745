package tokenizer

import (
	"encoding/json"
	"fmt"
)

var _ Codec = (*CLIPTokenizer)(nil)

// BOS is Start, and EOS is End: what captioners that write with CLIP's tokens begin and end with.
func (t *CLIPTokenizer) BOS() int32 { return t.start }

// EOS is End.
func (t *CLIPTokenizer) EOS() int32 { return t.end }

// EncodeSpecial is Encode, which gives special tokens their own ids.
func (t *CLIPTokenizer) EncodeSpecial(s string) []int32 { return t.Encode(s) }

// ID returns the id of a token as the vocabulary spells it, and whether there is such a token.
func (t *CLIPTokenizer) ID(token string) (int32, bool) {
	id, ok := t.model.ids[token]
	return id, ok
}

// Token returns a token as the vocabulary spells it, and whether there is one of this id.
func (t *CLIPTokenizer) Token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.model.tokens) {
		return "", false
	}
	return t.model.tokens[id], true
}

// IsSpecial says whether an id is the start or the end of a text.
func (t *CLIPTokenizer) IsSpecial(id int32) bool { return id == t.start || id == t.end }

// Continues is false of every token: these say whether a word ends with them, not whether one begins.
func (t *CLIPTokenizer) Continues(int32) bool { return false }

// clipFile is a tokenizer.json of CLIP as Hugging Face's CLIPTokenizerFast writes it.
type clipFile struct {
	Version       string         `json:"version"`
	Truncation    *struct{}      `json:"truncation"`
	Padding       *struct{}      `json:"padding"`
	Added         []AddedToken   `json:"added_tokens"`
	Normalizer    map[string]any `json:"normalizer"`
	PreTokenizer  map[string]any `json:"pre_tokenizer"`
	PostProcessor map[string]any `json:"post_processor"`
	Decoder       map[string]any `json:"decoder"`
	Model         clipModel      `json:"model"`
}

type clipModel struct {
	Type    string          `json:"type"`
	Dropout *float64        `json:"dropout"`
	Unknown string          `json:"unk_token"`
	Prefix  string          `json:"continuing_subword_prefix"`
	Suffix  string          `json:"end_of_word_suffix"`
	Fuse    bool            `json:"fuse_unk"`
	Vocab   json.RawMessage `json:"vocab"`
	Merges  []string        `json:"merges"`
}

// clipPattern splits words as clipWord does.
const clipPattern = `<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`

// JSON writes the tokenizer as Hugging Face's tokenizer.json, which [Read] and their library read. Their library does
// not repair a text as ftfy does.
func (t *CLIPTokenizer) JSON() ([]byte, error) {
	vocab, err := vocabJSON(t.model.tokens)
	if err != nil {
		return nil, err
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	split := map[string]any{"type": "Split", "pattern": map[string]any{"Regex": clipPattern}, "behavior": "Removed",
		"invert": true}
	spaces := map[string]any{"type": "Replace", "pattern": map[string]any{"Regex": `\s+`}, "content": " "}
	f := clipFile{
		Version: "1.0",
		Added: []AddedToken{
			{ID: t.start, Content: startOfText, Normalized: true, Special: true},
			{ID: t.end, Content: EndOfText, Special: true},
		},
		Normalizer: map[string]any{"type": "Sequence",
			"normalizers": []any{map[string]any{"type": "NFC"}, spaces, map[string]any{"type": "Lowercase"}}},
		PreTokenizer: map[string]any{"type": "Sequence", "pretokenizers": []any{split, byteLevel}},
		PostProcessor: map[string]any{"type": "RobertaProcessing", "sep": []any{EndOfText, t.end},
			"cls": []any{startOfText, t.start}, "trim_offsets": false, "add_prefix_space": false},
		Decoder: byteLevel,
		Model:   clipModel{Type: "BPE", Unknown: EndOfText, Suffix: wordEnd, Vocab: vocab},
	}
	for _, p := range t.model.merges {
		f.Model.Merges = append(f.Model.Merges, t.model.tokens[p.left]+" "+t.model.tokens[p.right])
	}
	return marshal(f)
}

// parseCLIP reads a tokenizer.json whose words end with a suffix. The one that is known is CLIP's.
func parseCLIP(b []byte) (Codec, error) {
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, FormatError(fmt.Sprintf("tokenizer.json: %v", err))
	}
	t := CLIP()
	const message = "end_of_word_suffix with another vocabulary than CLIP's"
	if f.Model.Suffix != wordEnd || len(f.Model.Vocab) != t.VocabSize() || len(f.Model.Merges) != len(t.model.merges) {
		return nil, UnsupportedError(message)
	}
	for _, e := range f.Model.Vocab {
		if token, ok := t.Token(e.id); !ok || token != e.token {
			return nil, UnsupportedError(message)
		}
	}
	return t, nil
}
