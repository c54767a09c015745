package tokenizer

import (
	"bytes"
	"encoding/json"
)

// JSON writes the tokenizer as Hugging Face's tokenizer.json, which [Parse], their library and sugarme's read. The
// bytes depend on nothing but the tokenizer: tokens stand in the order of their ids.
func (t *Tokenizer) JSON() ([]byte, error) {
	if t.words != nil {
		return t.words.json(t.model)
	}
	type byteLevel struct {
		Type        string `json:"type"`
		PrefixSpace bool   `json:"add_prefix_space"`
		TrimOffsets bool   `json:"trim_offsets"`
		UseRegex    bool   `json:"use_regex"`
	}
	type lower struct {
		Type string `json:"type"`
	}
	type bpe struct {
		Type         string          `json:"type"`
		Dropout      *float64        `json:"dropout"`
		Unknown      *string         `json:"unk_token"`
		Prefix       *string         `json:"continuing_subword_prefix"`
		Suffix       *string         `json:"end_of_word_suffix"`
		FuseUnknown  bool            `json:"fuse_unk"`
		ByteFallback bool            `json:"byte_fallback"`
		IgnoreMerges bool            `json:"ignore_merges"`
		Vocab        json.RawMessage `json:"vocab"`
		Merges       []string        `json:"merges"`
	}
	type processor struct {
		byteLevel
		First []any `json:"cls,omitempty"`
		Last  []any `json:"sep,omitempty"`
	}
	out := struct {
		Version       string       `json:"version"`
		Truncation    *struct{}    `json:"truncation"`
		Padding       *struct{}    `json:"padding"`
		Added         []AddedToken `json:"added_tokens"`
		Normalizer    *lower       `json:"normalizer"`
		PreTokenizer  byteLevel    `json:"pre_tokenizer"`
		PostProcessor processor    `json:"post_processor"`
		Decoder       byteLevel    `json:"decoder"`
		Model         bpe          `json:"model"`
	}{
		Version:       "1.0",
		Added:         t.added.list,
		PreTokenizer:  byteLevel{"ByteLevel", t.opts.PrefixSpace, true, true},
		PostProcessor: processor{byteLevel: byteLevel{"ByteLevel", true, false, true}},
		Decoder:       byteLevel{"ByteLevel", true, true, true},
		Model:         bpe{Type: "BPE", Merges: make([]string, 0, len(t.model.merges))},
	}
	if first, last := t.model.tokens[t.bos], t.model.tokens[t.eos]; first != last {
		roberta := byteLevel{"RobertaProcessing", false, true, true}
		out.PostProcessor = processor{roberta, []any{first, t.bos}, []any{last, t.eos}}
	}
	if t.opts.Lowercase {
		out.Normalizer = &lower{"Lowercase"}
	}
	for _, p := range t.model.merges {
		out.Model.Merges = append(out.Model.Merges, t.model.tokens[p.left]+" "+t.model.tokens[p.right])
	}
	vocab, err := vocabJSON(t.model.tokens[:t.model.inside])
	if err != nil {
		return nil, err
	}
	out.Model.Vocab = vocab
	return marshal(out)
}

// Files writes the tokenizer in GPT-2's original form, which [New] reads: vocab.json and merges.txt. There is no
// place for options there, nor for tokens that were added to the vocabulary.
func (t *Tokenizer) Files() (vocab, merges []byte, err error) {
	if t.words != nil {
		return nil, nil, UnsupportedError("merges.txt of whole words")
	}
	return t.model.files()
}

func (m *model) files() (vocab, merges []byte, err error) {
	if vocab, err = vocabJSON(m.tokens[:m.inside]); err != nil {
		return nil, nil, err
	}
	merges = []byte("#version: 0.2\n")
	for _, p := range m.merges {
		merges = append(merges, m.tokens[p.left]+" "+m.tokens[p.right]+"\n"...)
	}
	return vocab, merges, nil
}

// vocabJSON writes a vocabulary as an object in the order of ids, which encoding/json would sort by name.
func vocabJSON(tokens []string) (json.RawMessage, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for id, token := range tokens {
		if id > 0 {
			b.WriteByte(',')
		}
		name, err := marshal(token)
		if err != nil {
			return nil, err
		}
		number, err := marshal(id)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(number)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal without HTML in mind: "<|endoftext|>" stays readable.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
