// Package tokenizer turns captions into ids and back, as the reference implementations do on any string. It has
//
//   - byte-level byte-pair encoding ([Tokenizer]): GPT-2's, which is built in, BART's, any tokenizer.json of that kind;
//   - BERT's WordPiece ([WordPiece]), by the parts of github.com/sugarme/tokenizer that are right;
//   - CLIP's byte-pair encoding ([CLIP]);
//   - the whole words of clip-text-decoder 1.0.0 ([NewWords]).
//
// A [Codec] is either of the first two. Both are read from and written to Hugging Face's tokenizer.json ([Read]).
// [Tokenizer.Trim] cuts a vocabulary down to what a model's captions need.
//
// It refuses byte-level BPE that lacks one of the 256 byte tokens (without them some text has no ids) or a token to
// end a caption with. It does not pad, cut off, or add special tokens: that is for the model to decide.
package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EndOfText is the token that begins and ends a text of GPT-2.
const EndOfText = "<|endoftext|>"

// A Tokenizer maps text to ids and back. It does not change once made, and is safe for concurrent use.
type Tokenizer struct {
	model    *model
	added    *addedTokens
	bos, eos int32
	opts     Options
	words    *words // nil but for whole words
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
	return newBPE(vocab, merges, []AddedToken{{Content: EndOfText, Special: true}}, gpt2Ends)
}

// newBPE is New for a vocabulary with other added tokens. Those that vocab.json lacks carry the ids behind it.
func newBPE(vocab, merges []byte, added []AddedToken, e ends) (*Tokenizer, error) {
	var entries vocabulary
	if err := json.Unmarshal(vocab, &entries); err != nil {
		return nil, FormatError(fmt.Sprintf("vocab.json: %v", err))
	}
	inside := make(map[string]bool, len(entries))
	for _, e := range entries {
		inside[e.token] = true
	}
	outside := slices.DeleteFunc(slices.Clone(added), func(a AddedToken) bool { return inside[a.Content] || a.ID == 0 })
	tokens, err := byID(entries, outside)
	if err != nil {
		return nil, err
	}
	pairs, err := parseMerges(merges)
	if err != nil {
		return nil, err
	}
	m, err := newModel(tokens, len(entries), pairs)
	if err != nil {
		return nil, err
	}
	return newTokenizer(m, added, e, Options{})
}

// ends are the tokens that begin and end a text.
type ends struct{ first, last string }

var gpt2Ends = ends{EndOfText, EndOfText}

func newTokenizer(m *model, added []AddedToken, e ends, o Options) (*Tokenizer, error) {
	bos, okFirst := m.ids[e.first]
	eos, okLast := m.ids[e.last]
	switch {
	case e == gpt2Ends && !okLast:
		return nil, FormatError("no token " + EndOfText + ", which begins and ends a text")
	case !okFirst || !okLast:
		return nil, FormatError(fmt.Sprintf("no token %q or %q, which begin and end a text", e.first, e.last))
	}
	set, err := newAddedTokens(m.ids, added)
	if err != nil {
		return nil, err
	}
	return &Tokenizer{model: m, added: set, bos: bos, eos: eos, opts: o}, nil
}

// With returns the same tokenizer with other options. The two share their tables.
func (t *Tokenizer) With(o Options) *Tokenizer {
	return &Tokenizer{model: t.model, added: t.added, bos: t.bos, eos: t.eos, opts: o, words: t.words}
}

// Options returns what the tokenizer does to a text before it splits it.
func (t *Tokenizer) Options() Options { return t.opts }

// VocabSize is the number of ids: they run from 0 to VocabSize-1.
func (t *Tokenizer) VocabSize() int { return len(t.model.tokens) }

// EOS is the id that ends a text: that of <|endoftext|> in GPT-2's vocabulary, of </s> in BART's.
func (t *Tokenizer) EOS() int32 { return t.eos }

// BOS is the id that begins a text: GPT-2 has one token for both ends.
func (t *Tokenizer) BOS() int32 { return t.bos }

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
		return t.words.split(t.model, dst, s)
	}
	t.added.pieces(validUTF8(s), special, t.opts.Lowercase, func(text string, id int32) {
		if id >= 0 {
			dst = append(dst, id)
			return
		}
		dst = t.model.append(dst, t.opts.prefixed(text))
	})
	return dst
}

// prefixed puts the space of PrefixSpace before a text.
func (o Options) prefixed(text string) string {
	if o.PrefixSpace && text != "" && text[0] != ' ' {
		return " " + text
	}
	return text
}

// Decode returns the text of ids. Special tokens and ids that do not exist are left out. Bytes that do not make UTF-8,
// such as the first half of a letter whose second half was not chosen, become U+FFFD, one for each part that a decoder
// would reject as a whole (as in Python and Rust). With Options.PrefixSpace one leading space is taken away.
func (t *Tokenizer) Decode(ids []int32) string {
	if t.words != nil {
		return t.words.join(t.model, ids)
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

// AppendBytes adds the bytes that an id stands for, special or not, to dst and returns it. They need not be whole
// UTF-8. An id that does not exist adds nothing.
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
	return t.added.special(id)
}

// Continues says whether a token goes on with the word before it: whether its text begins with a letter or a digit,
// and no space.
func (t *Tokenizer) Continues(id int32) bool {
	var buf [64]byte
	b := t.AppendBytes(buf[:0], id)
	return len(b) > 0 && (b[0] >= utf8.RuneSelf || unicode.IsLetter(rune(b[0])) || unicode.IsDigit(rune(b[0])))
}

// A FormatError says what is wrong with a tokenizer file.
type FormatError string

func (e FormatError) Error() string { return "tokenizer: " + string(e) }

// An UnsupportedError names what a well-formed tokenizer file wants and this package does not do.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "tokenizer: not supported: " + string(e) }
