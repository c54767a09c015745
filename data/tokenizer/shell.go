package tokenizer

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/sugarme/tokenizer"
	"github.com/sugarme/tokenizer/normalizer"
)

// Encoding encodes a text as [Tokenizer.Encode] does, but within sugarme's tokenizer, and also says which bytes of the
// text each id stands for; the tokens of one letter have the letter's offsets each. The text is the one that is
// returned: after the options, and with U+FFFD for what was not UTF-8. It takes forty times as long as Encode, and
// quadratic time where there are no spaces: it is for looking at single captions.
func (t *Tokenizer) Encoding(s string) (encoding *tokenizer.Encoding, text string, err error) {
	var split shellSplit
	t.pieces(validUTF8(s), false, func(piece string, id int32) {
		if id >= 0 {
			split = append(split, span{len(text), len(text) + len(piece), id})
			text += piece
			return
		}
		piece = t.prefixed(piece)
		for at := 0; at < len(piece); {
			n := nextWord(piece[at:])
			split = append(split, span{len(text) + at, len(text) + at + n, -1})
			at += n
		}
		text += piece
	})
	if text == "" {
		return tokenizer.DefaultEncoding(), "", nil
	}
	shell := tokenizer.NewTokenizer(shellModel{t.model})
	shell.WithPreTokenizer(split)
	encoding, err = shell.EncodeSingle(text, false)
	return encoding, text, err
}

// shellSplit stands in for sugarme's pre-tokenizer and its added tokens, which lose tokens and match less than the
// reference's: it knows where the parts of the one text that it is for are.
type shellSplit []span

// A span is a word, whose id is -1, or an added token.
type span struct {
	start, end int
	id         int32
}

var _ tokenizer.PreTokenizer = shellSplit{}

func (split shellSplit) PreTokenize(s *tokenizer.PreTokenizedString) (*tokenizer.PreTokenizedString, error) {
	return s.Split(func(_ int, n *normalizer.NormalizedString) []tokenizer.SplitIdx {
		var parts []tokenizer.SplitIdx
		for _, p := range split {
			part := tokenizer.SplitIdx{Normalized: n.Slice(normalizer.NewRange(p.start, p.end, normalizer.NormalizedTarget))}
			if p.id >= 0 {
				part.Tokens = []tokenizer.Token{tokenizer.NewToken(int(p.id), part.Normalized.GetNormalized(), []int{0, p.end - p.start})}
			}
			parts = append(parts, part)
		}
		return parts
	}), nil
}

// shellModel is the model as sugarme's interface wants it.
type shellModel struct{ *model }

var _ tokenizer.Model = shellModel{}

func (m shellModel) Tokenize(word string) ([]tokenizer.Token, error) {
	var tokens []tokenizer.Token
	at := 0
	for _, id := range m.appendWord(nil, word) {
		end := at + len(appendBytes(nil, m.tokens[id]))
		tokens = append(tokens, tokenizer.NewToken(int(id), m.tokens[id], []int{at, end}))
		at = end
	}
	return tokens, nil
}

func (m shellModel) TokenToId(token string) (int, bool) {
	id, ok := m.ids[token]
	return int(id), ok
}

func (m shellModel) IdToToken(id int) (string, bool) {
	if id < 0 || id >= len(m.tokens) {
		return "", false
	}
	return m.tokens[id], true
}

// GetVocab returns a copy: sugarme writes into what it gets.
func (m shellModel) GetVocab() map[string]int {
	vocab := make(map[string]int, len(m.tokens))
	for id, token := range m.tokens {
		vocab[token] = id
	}
	return vocab
}

func (m shellModel) GetVocabSize() int { return len(m.tokens) }

// Save writes vocab.json and merges.txt into the folder, with a prefix before their names.
func (m shellModel) Save(folder string, prefix ...string) error {
	name := ""
	if len(prefix) > 0 {
		name = prefix[0] + "-"
	}
	vocab, merges, err := m.files()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, name+"vocab.json"), vocab, 0o666),
		os.WriteFile(filepath.Join(folder, name+"merges.txt"), merges, 0o666))
}
