package tokenizer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sugarme/tokenizer/decoder"
	sugarme "github.com/sugarme/tokenizer/model"
	"github.com/sugarme/tokenizer/model/wordpiece"
)

// What BERT's vocabularies call their special tokens.
const (
	bertPad     = "[PAD]"
	bertUnknown = "[UNK]"
	bertBegin   = "[CLS]"
	bertEnd     = "[SEP]"
	bertMask    = "[MASK]"
)

const (
	subword  = "##" // begins a token that goes on with a word
	longWord = 100  // runes: a longer word is unknown
)

// WordPiece is BERT's tokenizer (Devlin et al. 2019): a word becomes the longest tokens that spell it from the left,
// and [UNK] where there are none. The ids of [WordPiece.Encode] are those of transformers' BertTokenizer (4.57.1).
//
// The search for tokens and the way back to text are those of github.com/sugarme/tokenizer. What it has wrong is
// ours: how a text is cleaned and cut into words (bert.go), and special tokens. It does not change once made, and is
// safe for concurrent use.
type WordPiece struct {
	tokens []string // by id
	ids    map[string]int32
	model  wordpiece.WordPiece
	text   *decoder.WordPieceDecoder
	added  *addedTokens
	opts   WordPieceOptions

	begin, end, unknown int32
}

// WordPieceOptions are the settings of a BertTokenizer. Start from [BERT]: false is a real value of each.
type WordPieceOptions struct {
	// Lowercase lowers letters and drops accents: "do_lower_case".
	Lowercase bool
	// CleanUp takes away the space before . ? ! and , in decoded text: "cleanup" of a tokenizer.json's decoder.
	CleanUp bool
	// CleanUpSpaces also takes away the spaces around an apostrophe: "clean_up_tokenization_spaces" of a
	// tokenizer_config.json. A tokenizer.json has no place for it: JSON writes it beside "cleanup", where others overlook
	// it.
	CleanUpSpaces bool
}

// BERT returns the options of bert-base-uncased as its tokenizer.json has them.
func BERT() WordPieceOptions { return WordPieceOptions{Lowercase: true, CleanUp: true} }

// NewWordPiece makes a tokenizer of a vocab.txt, a token a line, whose line numbers from 0 are the ids. It must have
// [UNK], [CLS] and [SEP]. added are tokens beside BERT's special ones, of which those that the vocabulary lacks carry
// the ids behind it. What is wrong with the vocabulary is a [FormatError].
func NewWordPiece(vocab []byte, added []AddedToken, o WordPieceOptions) (*WordPiece, error) {
	text := strings.TrimSuffix(strings.ReplaceAll(string(vocab), "\r\n", "\n"), "\n")
	tokens := strings.Split(text, "\n")
	inside := len(tokens)
	known := make(map[string]bool, inside)
	for _, t := range tokens {
		known[t] = true
	}
	for _, a := range slices.SortedFunc(slices.Values(added), func(x, y AddedToken) int { return int(x.ID - y.ID) }) {
		if known[a.Content] {
			continue
		}
		if int(a.ID) != len(tokens) {
			return nil, FormatError(fmt.Sprintf("added token %q has the id %d, want %d", a.Content, a.ID, len(tokens)))
		}
		tokens = append(tokens, a.Content)
	}
	return newWordPiece(tokens, inside, withBERT(added, known), o)
}

// withBERT is the list of added tokens with BERT's special ones that the vocabulary has and the list lacks.
func withBERT(added []AddedToken, known map[string]bool) []AddedToken {
	list := slices.Clone(added)
	for _, name := range []string{bertPad, bertUnknown, bertBegin, bertEnd, bertMask} {
		listed := slices.ContainsFunc(list, func(a AddedToken) bool { return a.Content == name })
		if known[name] && !listed {
			list = append(list, AddedToken{Content: name, Special: true})
		}
	}
	return list
}

// newWordPiece makes a tokenizer of tokens by id, of which those from inside on are no parts of words.
func newWordPiece(tokens []string, inside int, added []AddedToken, o WordPieceOptions) (*WordPiece, error) {
	t := &WordPiece{tokens: tokens, ids: make(map[string]int32, len(tokens)), opts: o}
	vocab := make(sugarme.Vocab, inside)
	for id, token := range tokens {
		if old, twice := t.ids[token]; twice {
			return nil, FormatError(fmt.Sprintf("token %q has two ids, %d and %d", token, old, id))
		}
		t.ids[token] = int32(id)
		if id < inside {
			vocab[token] = id
		}
	}
	for _, s := range []struct {
		name string
		id   *int32
	}{{bertUnknown, &t.unknown}, {bertBegin, &t.begin}, {bertEnd, &t.end}} {
		id, ok := t.ids[s.name]
		if !ok || int(id) >= inside {
			return nil, FormatError("no token " + s.name + " in the vocabulary")
		}
		*s.id = id
	}
	var err error
	if t.added, err = newAddedTokens(t.ids, added); err != nil {
		return nil, err
	}
	t.model = wordpiece.NewWordPieceBuilder().Vocab(&vocab).UnkToken(bertUnknown).ContinuingSubwordPrefix(subword).
		MaxInputCharsPerWord(longWord).Build()
	t.text = decoder.NewWordPieceDecoder(subword, o.CleanUp)
	return t, nil
}

// Encode returns the ids of a text without [CLS] and [SEP]. What looks like a special token in it is text like any
// other.
func (t *WordPiece) Encode(s string) []int32 { return t.encode(s, false) }

// EncodeSpecial is Encode, but special tokens that stand in the text get their own ids, as transformers do it by
// default.
func (t *WordPiece) EncodeSpecial(s string) []int32 { return t.encode(s, true) }

func (t *WordPiece) encode(s string, special bool) []int32 {
	ids := make([]int32, 0, len(s)/4+2)
	as := func(s string) string { return s }
	t.added.cut(validUTF8(s), special, false, as, func(text string, id int32) {
		if id >= 0 {
			ids = append(ids, id)
			return
		}
		bertWords(text, t.opts.Lowercase, func(word string) { ids = t.appendWord(ids, word) })
	})
	return ids
}

// appendWord adds the ids of one word.
func (t *WordPiece) appendWord(ids []int32, word string) []int32 {
	if id, ok := t.ids[word]; ok && int(id) < t.model.GetVocabSize() && len(word) <= longWord {
		return append(ids, id) // a whole word is its own longest token
	}
	tokens, err := t.model.Tokenize(word)
	if err != nil { // for want of [UNK], which newWordPiece has found
		return append(ids, t.unknown)
	}
	for _, token := range tokens {
		ids = append(ids, int32(token.Id))
	}
	return ids
}

// Decode returns the text of ids: words with a space between them, special tokens and ids that do not exist left out.
func (t *WordPiece) Decode(ids []int32) string {
	tokens := make([]string, 0, len(ids))
	for _, id := range ids {
		if token, ok := t.Token(id); ok && !t.IsSpecial(id) {
			tokens = append(tokens, token)
		}
	}
	s := t.text.Decode(tokens)
	if t.opts.CleanUpSpaces {
		s = CleanUpSpaces(s)
	}
	return s
}

// CleanUpSpaces takes away the spaces before marks and clipped words, as transformers' clean_up_tokenization does.
func CleanUpSpaces(s string) string {
	for _, r := range [...][2]string{
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"},
		{" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
	} {
		s = strings.ReplaceAll(s, r[0], r[1]) // one after the other: what one makes, the next may find
	}
	return s
}

// VocabSize is the number of ids: they run from 0 to VocabSize-1.
func (t *WordPiece) VocabSize() int { return len(t.tokens) }

// BOS is the id of [CLS]. Captioners may begin their texts with another.
func (t *WordPiece) BOS() int32 { return t.begin }

// EOS is the id of [SEP].
func (t *WordPiece) EOS() int32 { return t.end }

// CleaningSpaces is t with another CleanUpSpaces.
func (t *WordPiece) CleaningSpaces(on bool) *WordPiece {
	other := *t
	other.opts.CleanUpSpaces = on
	return &other
}

// Options returns the settings.
func (t *WordPiece) Options() WordPieceOptions { return t.opts }

// ID returns the id of a token as the vocabulary spells it, and whether there is such a token.
func (t *WordPiece) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// Token returns the token of an id as the vocabulary spells it ("##ing"), and whether there is such an id.
func (t *WordPiece) Token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.tokens) {
		return "", false
	}
	return t.tokens[id], true
}

// IsSpecial says whether an id is a special token, which stands for no text.
func (t *WordPiece) IsSpecial(id int32) bool { return t.added.special(id) }

// Continues says whether a token goes on with the word before it: whether it begins with "##".
func (t *WordPiece) Continues(id int32) bool {
	token, ok := t.Token(id)
	return ok && strings.HasPrefix(token, subword)
}

// Added returns the tokens that are cut out of a text before it is split into words, special ones among them.
func (t *WordPiece) Added() []AddedToken { return slices.Clone(t.added.list) }
