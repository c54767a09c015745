package tokenizer

import (
	"encoding/json"
	"fmt"
)

// file is Hugging Face's tokenizer.json as far as it matters here. Truncation and padding are ignored: the ids of a
// text do not depend on them. Of the post-processor only BART's tells something, its first and last token.
type file struct {
	Added        []AddedToken `json:"added_tokens"`
	Normalizer   *part        `json:"normalizer"`
	PreTokenizer *part        `json:"pre_tokenizer"`
	Decoder      *part        `json:"decoder"`
	PostProcess  *part        `json:"post_processor"`
	Model        struct {
		Type         string     `json:"type"`
		Dropout      *float64   `json:"dropout"`
		Prefix       string     `json:"continuing_subword_prefix"`
		Suffix       string     `json:"end_of_word_suffix"`
		ByteFallback bool       `json:"byte_fallback"`
		IgnoreMerges bool       `json:"ignore_merges"`
		Vocab        vocabulary `json:"vocab"`
		Merges       mergeList  `json:"merges"`
	} `json:"model"`
}

// part is a normalizer, splitter or decoder, or a sequence of them.
type part struct {
	Type          string `json:"type"`
	PrefixSpace   *bool  `json:"add_prefix_space"`
	UseRegex      *bool  `json:"use_regex"`
	First         []any  `json:"cls"` // of RobertaProcessing: a token and its id
	Last          []any  `json:"sep"`
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

// Parse reads a tokenizer.json of Hugging Face whose model is byte-level BPE, or whole words as [NewWords] has them.
// Merges may have either form. The normalizer may be Lowercase or none, the splitter must be ByteLevel. Every other
// setting that would change ids gives an [UnsupportedError]; what is not such a file gives a [FormatError].
func Parse(b []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, FormatError(fmt.Sprintf("tokenizer.json: %v", err))
	}
	if f.Model.Type == "WordLevel" {
		return f.words()
	}
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	tokens, err := byID(f.Model.Vocab, f.Added)
	if err != nil {
		return nil, err
	}
	m, err := newModel(tokens, len(f.Model.Vocab), f.Model.Merges)
	if err != nil {
		return nil, err
	}
	return newTokenizer(m, f.Added, f.ends(m), o)
}

// ends are the tokens that begin and end a text: those that a RobertaProcessing names, else <|endoftext|>, else BART's.
func (f *file) ends(m *model) ends {
	if p := f.PostProcess; p != nil && p.Type == "RobertaProcessing" && len(p.First) > 0 && len(p.Last) > 0 {
		first, _ := p.First[0].(string)
		last, _ := p.Last[0].(string)
		return ends{first, last}
	}
	if _, ok := m.ids[EndOfText]; !ok {
		if _, ok := m.ids[bartEnds.last]; ok {
			return bartEnds
		}
	}
	return gpt2Ends
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
		const message = "continuing_subword_prefix %q and end_of_word_suffix %q, want neither"
		return o, UnsupportedError(fmt.Sprintf(message, m.Prefix, m.Suffix))
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
func byID(vocab vocabulary, added []AddedToken) ([]string, error) {
	outside := make(map[string]int32, len(added)) // those that are not in the vocabulary
	for _, t := range added {
		outside[t.Content] = t.ID
	}
	for _, e := range vocab {
		if id, ok := outside[e.token]; ok && id != e.id {
			return nil, FormatError(fmt.Sprintf("added token %q has the id %d, but %d in the vocabulary", e.token, id, e.id))
		}
		delete(outside, e.token)
	}
	tokens, taken := make([]string, len(vocab)+len(outside)), make([]bool, len(vocab)+len(outside))
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
	for _, e := range vocab {
		if err := put(e.token, e.id, len(vocab)); err != nil {
			return nil, err
		}
	}
	for _, t := range added {
		if _, ok := outside[t.Content]; !ok {
			continue
		}
		if err := put(t.Content, t.ID, len(tokens)); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}
