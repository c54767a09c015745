package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// file is Hugging Face's tokenizer.json as far as it matters here. Truncation and padding are read over, as is the
// post-processor: the ids of a text do not depend on them.
type file struct {
	Added        []AddedToken `json:"added_tokens"`
	Normalizer   *part        `json:"normalizer"`
	PreTokenizer *part        `json:"pre_tokenizer"`
	Decoder      *part        `json:"decoder"`
	Model        struct {
		Type         string           `json:"type"`
		Dropout      *float64         `json:"dropout"`
		Prefix       string           `json:"continuing_subword_prefix"`
		Suffix       string           `json:"end_of_word_suffix"`
		ByteFallback bool             `json:"byte_fallback"`
		IgnoreMerges bool             `json:"ignore_merges"`
		Vocab        map[string]int32 `json:"vocab"`
		Merges       []pair           `json:"merges"`
	} `json:"model"`
}

// part is a normalizer, splitter or decoder, or a sequence of them.
type part struct {
	Type          string `json:"type"`
	PrefixSpace   *bool  `json:"add_prefix_space"`
	UseRegex      *bool  `json:"use_regex"`
	Normalizers   []part `json:"normalizers"`
	PreTokenizers []part `json:"pretokenizers"`
	Decoders      []part `json:"decoders"`
}

// flat returns the parts of a sequence, or the part itself.
func (p *part) flat() []part {
	switch {
	case p == nil:
		return nil
	case p.Type == "Sequence":
		var all []part
		for _, parts := range [][]part{p.Normalizers, p.PreTokenizers, p.Decoders} {
			for _, q := range parts {
				all = append(all, q.flat()...)
			}
		}
		return all
	}
	return []part{*p}
}

// pair is a merge: "a b" in older files, ["a", "b"] in newer ones.
type pair [2]string

func (p *pair) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		var list []string
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		if len(list) != 2 {
			return FormatError(fmt.Sprintf("merge of %d tokens, want 2", len(list)))
		}
		p[0], p[1] = list[0], list[1]
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return p.split(s)
}

func (p *pair) split(s string) error {
	left, right, ok := strings.Cut(s, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return FormatError(fmt.Sprintf("merge %q, want two tokens with a space between", s))
	}
	p[0], p[1] = left, right
	return nil
}

// Parse reads a tokenizer.json of Hugging Face whose model is byte-level BPE. Merges may have either form. The
// normaliser may be Lowercase or none, the splitter must be ByteLevel. Every other setting that would change ids gives
// an [UnsupportedError]; what is not such a file gives a [FormatError].
func Parse(b []byte) (*Tokenizer, error) {
	var f file
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
	pairs := make([][2]string, len(f.Model.Merges))
	for i, p := range f.Model.Merges {
		if p[0] == "" {
			return nil, FormatError(fmt.Sprintf("merge %d is null, want two tokens", i))
		}
		pairs[i] = p
	}
	m, err := newModel(tokens, len(f.Model.Vocab), pairs)
	if err != nil {
		return nil, err
	}
	return newTokenizer(m, f.Added, o)
}

// options checks the parts of the file that can change ids.
func (f *file) options() (Options, error) {
	var o Options
	switch m := f.Model; {
	case m.Type != "BPE" && m.Type != "": // the oldest files do not name it
		return o, UnsupportedError(fmt.Sprintf("model %q, want BPE", m.Type))
	case m.Dropout != nil && *m.Dropout != 0:
		return o, UnsupportedError(fmt.Sprintf("dropout %g, want none", *m.Dropout))
	case m.Prefix != "" || m.Suffix != "":
		return o, UnsupportedError(fmt.Sprintf("continuing_subword_prefix %q and end_of_word_suffix %q, want neither", m.Prefix, m.Suffix))
	case m.ByteFallback || m.IgnoreMerges:
		return o, UnsupportedError("byte_fallback or ignore_merges")
	}
	for _, p := range f.Normalizer.flat() {
		if p.Type != "Lowercase" {
			return o, UnsupportedError(fmt.Sprintf("normalizer %q, want Lowercase or none", p.Type))
		}
		o.Lowercase = true
	}
	split := f.PreTokenizer.flat()
	if len(split) != 1 || split[0].Type != "ByteLevel" || split[0].UseRegex != nil && !*split[0].UseRegex {
		return o, UnsupportedError("a pre_tokenizer that is not ByteLevel with GPT-2's pattern")
	}
	o.PrefixSpace = split[0].PrefixSpace == nil || *split[0].PrefixSpace
	for _, p := range f.Decoder.flat() {
		if p.Type != "ByteLevel" {
			return o, UnsupportedError(fmt.Sprintf("decoder %q, want ByteLevel", p.Type))
		}
	}
	return o, nil
}

// byID turns a vocabulary and the tokens added to it into a list of tokens by id. The ids must leave no hole.
func byID(vocab map[string]int32, added []AddedToken) ([]string, error) {
	n := len(vocab)
	for _, t := range added {
		if id, ok := vocab[t.Content]; !ok {
			n++
		} else if id != t.ID {
			return nil, FormatError(fmt.Sprintf("added token %q has the id %d, but %d in the vocabulary", t.Content, t.ID, id))
		}
	}
	tokens, taken := make([]string, n), make([]bool, n)
	put := func(token string, id int32, limit int) error {
		if id < 0 || int(id) >= limit {
			return FormatError(fmt.Sprintf("token %q has the id %d, want 0 to %d without holes", token, id, limit-1))
		}
		if taken[id] {
			return FormatError(fmt.Sprintf("tokens %q and %q have the same id %d", tokens[id], token, id))
		}
		tokens[id], taken[id] = token, true
		return nil
	}
	for token, id := range vocab {
		if err := put(token, id, len(vocab)); err != nil {
			return nil, err
		}
	}
	for _, t := range added {
		if _, ok := vocab[t.Content]; ok {
			continue
		}
		if err := put(t.Content, t.ID, n); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func parseVocab(b []byte) (map[string]int32, error) {
	var ids map[string]int32
	if err := json.Unmarshal(b, &ids); err != nil {
		return nil, FormatError(fmt.Sprintf("vocab.json: %v", err))
	}
	return ids, nil
}

// parseMerges reads merges.txt. Its first line may be "#version: 0.2"; empty lines do not count.
func parseMerges(b []byte) ([][2]string, error) {
	pairs := make([][2]string, 0, bytes.Count(b, []byte{'\n'})+1)
	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || number == 1 && strings.HasPrefix(line, "#version") {
			continue
		}
		var p pair
		if err := p.split(line); err != nil {
			return nil, FormatError(fmt.Sprintf("merges.txt, line %d: %v", number, err))
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}
