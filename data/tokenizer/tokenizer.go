// Package tokenizer turns captions into ids and back: the byte-level byte-pair encoding of GPT-2, and that of CLIP ([CLIP]).
//
// It reads and writes the tokenizer.json of Hugging Face, holds GPT-2's own vocabulary, and cuts a vocabulary down to
// what a model's captions need. The ids are those of the reference implementations on any string. Text takes the direct
// path ([Tokenizer.Encode]); [Tokenizer.Encoding] does the same work inside github.com/sugarme/tokenizer, whose
// interfaces our model and splitter implement, and also gives tokens and offsets.
//
// It refuses tokenizers that are not byte-level BPE, that lack one of the 256 byte tokens (without them some text has
// no ids), or that have no <|endoftext|> to end a caption with. It does not pad, cut off, or add special tokens: that is
// for the model to decide.
package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// EndOfText is the token that begins and ends a text. Every [Tokenizer] has it.
const EndOfText = "<|endoftext|>"

// A Tokenizer maps text to ids and back. It does not change once made, and is safe for concurrent use.
type Tokenizer struct {
	model *model
	added *addedTokens
	eos   int32
	opts  Options
	words *words // nil but for whole words
}

// Options is what happens to a text before it is split into words. The zero value, which is GPT-2's, changes nothing.
type Options struct {
	// Lowercase lowers every letter.
	Lowercase bool
	// PrefixSpace puts a space before a text that does not begin with one, so that its first word has the same ids as it
	// would have elsewhere; [Tokenizer.Decode] takes one leading space away again.
	PrefixSpace bool
}

// New makes a tokenizer from the two files of GPT-2's original form: vocab.json (an object of token to id) and
// merges.txt (a pair of tokens a line, best first). The ids must be 0 to n-1.
func New(vocab, merges []byte) (*Tokenizer, error) {
	var entries vocabulary
	if err := json.Unmarshal(vocab, &entries); err != nil {
		return nil, FormatError(fmt.Sprintf("vocab.json: %v", err))
	}
	tokens, err := byID(entries, nil)
	if err != nil {
		return nil, err
	}
	pairs, err := parseMerges(merges)
	if err != nil {
		return nil, err
	}
	m, err := newModel(tokens, len(tokens), pairs)
	if err != nil {
		return nil, err
	}
	return newTokenizer(m, []AddedToken{{Content: EndOfText, Special: true}}, Options{})
}

func newTokenizer(m *model, added []AddedToken, o Options) (*Tokenizer, error) {
	eos, ok := m.ids[EndOfText]
	if !ok {
		return nil, FormatError("no token " + EndOfText + ", which begins and ends a text")
	}
	set, err := newAddedTokens(m, added)
	if err != nil {
		return nil, err
	}
	return &Tokenizer{model: m, added: set, eos: eos, opts: o}, nil
}

// With returns the same tokenizer with other options. The two share their tables.
func (t *Tokenizer) With(o Options) *Tokenizer {
	return &Tokenizer{model: t.model, added: t.added, eos: t.eos, opts: o, words: t.words}
}

// Options returns what the tokenizer does to a text before it splits it.
func (t *Tokenizer) Options() Options { return t.opts }

// VocabSize is the number of ids: they run from 0 to VocabSize-1.
func (t *Tokenizer) VocabSize() int { return len(t.model.tokens) }

// EOS is the id of <|endoftext|>, which ends a text.
func (t *Tokenizer) EOS() int32 { return t.eos }

// BOS is the id that begins a text: GPT-2 has one token for both ends.
func (t *Tokenizer) BOS() int32 {
	if t.words != nil {
		return t.words.begin
	}
	return t.eos
}

// Token returns the token of an id as the vocabulary spells it ("Ġdog" for " dog"), and whether there is such an id.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.model.tokens) {
		return "", false
	}
	return t.model.tokens[id], true
}

// ID returns the id of a token as the vocabulary spells it, and whether there is such a token.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.model.ids[token]
	return id, ok
}

// Encode returns the ids of a text. What looks like a special token in it is text like any other. Each part that is not
// UTF-8 counts as one U+FFFD. The time grows with n log n of the longest word, and linearly otherwise.
func (t *Tokenizer) Encode(s string) []int32 {
	return t.Append(make([]int32, 0, len(s)/4+2), s)
}

// Append adds the ids of a text to dst and returns it: [Tokenizer.Encode] without the allocation.
func (t *Tokenizer) Append(dst []int32, s string) []int32 {
	return t.append(dst, s, false)
}

// EncodeSpecial is Encode, but special tokens that stand in the text get their own ids, as Hugging Face's tokenizers do
// it by default. It is for text of one's own: in foreign text they would end a caption.
func (t *Tokenizer) EncodeSpecial(s string) []int32 {
	return t.append(make([]int32, 0, len(s)/4+2), s, true)
}

func (t *Tokenizer) append(dst []int32, s string, special bool) []int32 {
	if t.words != nil {
		return t.split(dst, s)
	}
	t.pieces(validUTF8(s), special, func(text string, id int32) {
		if id >= 0 {
			dst = append(dst, id)
			return
		}
		dst = t.model.append(dst, t.prefixed(text))
	})
	return dst
}

// prefixed puts the space of Options.PrefixSpace before a text.
func (t *Tokenizer) prefixed(text string) string {
	if t.opts.PrefixSpace && text != "" && text[0] != ' ' {
		return " " + text
	}
	return text
}

// Decode returns the text of ids. Special tokens and ids that do not exist are left out. Bytes that do not make UTF-8,
// such as the first half of a letter whose second half was not chosen, become U+FFFD, one for each part that a decoder
// would reject as a whole (as in Python and Rust). With Options.PrefixSpace one leading space is taken away.
func (t *Tokenizer) Decode(ids []int32) string {
	if t.words != nil {
		return t.join(ids)
	}
	b := make([]byte, 0, 6*len(ids))
	for _, id := range ids {
		if t.IsSpecial(id) {
			continue
		}
		b = t.AppendBytes(b, id)
	}
	s := validUTF8(string(b))
	if t.opts.PrefixSpace {
		s = strings.TrimPrefix(s, " ")
	}
	return s
}

// AppendBytes adds the bytes that an id stands for, special or not, to dst and returns it. They need not be whole UTF-8.
// An id that does not exist adds nothing.
func (t *Tokenizer) AppendBytes(dst []byte, id int32) []byte {
	if id < 0 || int(id) >= len(t.model.tokens) {
		return dst
	}
	if t.words != nil {
		return append(append(dst, ' '), t.model.tokens[id]...)
	}
	if _, ok := t.added.byID[id]; ok {
		return append(dst, t.model.tokens[id]...)
	}
	return appendBytes(dst, t.model.tokens[id])
}

// IsSpecial tells whether an id is a special token, which stands for no text.
func (t *Tokenizer) IsSpecial(id int32) bool {
	i, ok := t.added.byID[id]
	return ok && t.added.list[i].Special
}

// Added returns the tokens that are cut out of a text before it is split into words, special ones among them.
func (t *Tokenizer) Added() []AddedToken { return slices.Clone(t.added.list) }

// A FormatError says what is wrong with a tokenizer file.
type FormatError string

func (e FormatError) Error() string { return "tokenizer: " + string(e) }

// An UnsupportedError names what a well-formed tokenizer file wants and this package does not do.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "tokenizer: not supported: " + string(e) }
