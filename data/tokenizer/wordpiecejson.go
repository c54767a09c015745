package tokenizer

import (
	"encoding/json"
	"fmt"
)

// bertNormalizer is Hugging Face's BertNormalizer as a tokenizer.json has it.
type bertNormalizer struct {
	Type         string `json:"type"`
	Clean        bool   `json:"clean_text"`
	Chinese      bool   `json:"handle_chinese_chars"`
	StripAccents *bool  `json:"strip_accents"` // null: where letters are lowered
	Lowercase    bool   `json:"lowercase"`
}

// wordPieceDecoder is Hugging Face's decoder of that name.
type wordPieceDecoder struct {
	Type    string `json:"type"`
	Prefix  string `json:"prefix"`
	CleanUp bool   `json:"cleanup"`
	Spaces  bool   `json:"clean_up_tokenization_spaces,omitempty"` // see WordPieceOptions.CleanUpSpaces
}

// JSON writes the tokenizer as Hugging Face's tokenizer.json, which [Read] and their library read. The bytes depend on
// nothing but the tokenizer: tokens stand in the order of their ids.
func (t *WordPiece) JSON() ([]byte, error) { return t.json(nil, t.opts.CleanUpSpaces) }

// json is JSON with what stands around a text. Spaces says that it tells CleanUpSpaces.
func (t *WordPiece) json(around any, spaces bool) ([]byte, error) {
	type kind struct {
		Type string `json:"type"`
	}
	type wordPiece struct {
		Type     string          `json:"type"`
		Unknown  string          `json:"unk_token"`
		Prefix   string          `json:"continuing_subword_prefix"`
		MaxInput int             `json:"max_input_chars_per_word"`
		Vocab    json.RawMessage `json:"vocab"`
	}
	vocab, err := vocabJSON(t.tokens[:t.model.GetVocabSize()])
	if err != nil {
		return nil, err
	}
	return marshal(struct {
		Version       string           `json:"version"`
		Truncation    *struct{}        `json:"truncation"`
		Padding       *struct{}        `json:"padding"`
		Added         []AddedToken     `json:"added_tokens"`
		Normalizer    bertNormalizer   `json:"normalizer"`
		PreTokenizer  kind             `json:"pre_tokenizer"`
		PostProcessor any              `json:"post_processor"`
		Decoder       wordPieceDecoder `json:"decoder"`
		Model         wordPiece        `json:"model"`
	}{
		Version:       "1.0",
		Added:         t.added.list,
		Normalizer:    bertNormalizer{Type: "BertNormalizer", Clean: true, Chinese: true, Lowercase: t.opts.Lowercase},
		PreTokenizer:  kind{"BertPreTokenizer"},
		PostProcessor: around,
		Decoder:       wordPieceDecoder{"WordPiece", subword, t.opts.CleanUp, spaces},
		Model:         wordPiece{"WordPiece", bertUnknown, subword, longWord, vocab},
	})
}

// wordPieceFile is a tokenizer.json whose model is WordPiece.
type wordPieceFile struct {
	Added        []AddedToken      `json:"added_tokens"`
	Normalizer   *bertNormalizer   `json:"normalizer"`
	PreTokenizer *part             `json:"pre_tokenizer"`
	Decoder      *wordPieceDecoder `json:"decoder"`
	Model        struct {
		Unknown  string     `json:"unk_token"`
		Prefix   string     `json:"continuing_subword_prefix"`
		MaxInput int        `json:"max_input_chars_per_word"`
		Vocab    vocabulary `json:"vocab"`
	} `json:"model"`
}

// parseWordPiece reads a tokenizer.json whose model is WordPiece.
func parseWordPiece(b []byte) (*WordPiece, error) {
	var f wordPieceFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, FormatError(fmt.Sprintf("tokenizer.json: %v", err))
	}
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	tokens, err := byID(f.Model.Vocab, f.Added)
	if err != nil {
		return nil, err
	}
	return newWordPiece(tokens, len(f.Model.Vocab), f.Added, o)
}

// options checks the parts of the file that can change ids or text.
func (f *wordPieceFile) options() (WordPieceOptions, error) {
	var o WordPieceOptions
	switch n, m := f.Normalizer, f.Model; {
	case n == nil || n.Type != "BertNormalizer" || !n.Clean || !n.Chinese:
		return o, UnsupportedError("WordPiece without a BertNormalizer that cleans text and handles Chinese characters")
	case n.StripAccents != nil && *n.StripAccents != n.Lowercase:
		const message = "strip_accents %v with lowercase %v, want them equal"
		return o, UnsupportedError(fmt.Sprintf(message, *n.StripAccents, n.Lowercase))
	case f.PreTokenizer == nil || f.PreTokenizer.Type != "BertPreTokenizer":
		return o, UnsupportedError("WordPiece without a BertPreTokenizer")
	case m.Unknown != bertUnknown || m.Prefix != subword || m.MaxInput != longWord:
		const message = "unk_token %q, continuing_subword_prefix %q and max_input_chars_per_word %d, want %q, %q and %d"
		return o, UnsupportedError(fmt.Sprintf(message, m.Unknown, m.Prefix, m.MaxInput, bertUnknown, subword, longWord))
	case f.Decoder != nil && (f.Decoder.Type != "WordPiece" || f.Decoder.Prefix != subword):
		const message = "decoder %q with the prefix %q, want WordPiece with %q"
		return o, UnsupportedError(fmt.Sprintf(message, f.Decoder.Type, f.Decoder.Prefix, subword))
	}
	o.Lowercase = f.Normalizer.Lowercase
	if f.Decoder != nil {
		o.CleanUp, o.CleanUpSpaces = f.Decoder.CleanUp, f.Decoder.Spaces
	}
	return o, nil
}

// Read reads a tokenizer.json of Hugging Face: WordPiece as BERT has it, CLIP's, or what [Parse] reads. Errors are as
// in Parse.
func Read(b []byte) (Codec, error) {
	var f struct {
		Model struct {
			Type   string `json:"type"`
			Suffix string `json:"end_of_word_suffix"`
		} `json:"model"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, FormatError(fmt.Sprintf("tokenizer.json: %v", err))
	}
	if f.Model.Type == "WordPiece" {
		return parseWordPiece(b)
	}
	if f.Model.Suffix != "" {
		return parseCLIP(b)
	}
	t, err := Parse(b)
	if err != nil {
		return nil, err // a nil *Tokenizer would be a Codec
	}
	return t, nil
}
