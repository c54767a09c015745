package tokenizer

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// ContextLength is how many ids the text tower of each of OpenAI's CLIP models takes.
const ContextLength = 77

const (
	startOfText = "<|startoftext|>"
	wordEnd     = "</w>"
	iotaBelow   = "\u0345" // its capital is a letter: without regard to case the reference's pattern matches it nowhere
)

// clip/merges.txt.gz holds the 48,894 merges that OpenAI's CLIP uses, the first of those that it ships (see
// clip/LICENSE). Its ids follow from them: 0-255 are the bytes in the order of their spelling, 256-511 the same at
// the end of a word, 512+i is what merge i makes, and the start and the end of a text come last.
//
//go:embed clip/merges.txt.gz
var clipMerges []byte

var clip = sync.OnceValues(buildCLIP)

// CLIPTokenizer makes the ids that CLIP's text tower was trained on. It is safe for concurrent use.
//
// The ids are those of OpenAI's SimpleTokenizer (github.com/openai/CLIP, clip/simple_tokenizer.py), which repairs a
// text by the Python package ftfy first. All of ftfy is done here but one thing: it guesses whether a text was read
// in a wrong encoding ("cafÃ©"), and this does not.
type CLIPTokenizer struct {
	model      *model
	start, end int32
}

func buildCLIP() (*CLIPTokenizer, error) {
	pairs, err := unpackMerges(clipMerges)
	if err != nil {
		return nil, err
	}
	tokens := bytesInOrder()
	for _, t := range tokens[:256] {
		tokens = append(tokens, t+wordEnd)
	}
	for _, p := range pairs {
		tokens = append(tokens, p[0]+p[1])
	}
	tokens = append(tokens, startOfText, EndOfText)
	m, err := newModel(tokens, len(tokens), pairs)
	if err != nil {
		return nil, err
	}
	return &CLIPTokenizer{m, m.ids[startOfText], m.ids[EndOfText]}, nil
}

// CLIP returns the tokenizer of all of OpenAI's CLIP models: 49,408 ids. Its tables are built at the first call.
func CLIP() *CLIPTokenizer {
	t, err := clip()
	if err != nil {
		panic(fmt.Sprintf("tokenizer: CLIP's vocabulary inside the program is broken: %v", err))
	}
	return t
}

// VocabSize is the number of ids: they run from 0 to VocabSize-1.
func (t *CLIPTokenizer) VocabSize() int { return len(t.model.tokens) }

// Start is the id that begins a text, End the one that ends it: where it stands the text tower reads its result.
func (t *CLIPTokenizer) Start() int32 { return t.start }

// End is the id of <|endoftext|>.
func (t *CLIPTokenizer) End() int32 { return t.end }

// Encode returns the ids of a text, without start and end. The text is cleaned as CLIP does: HTML's entities are
// resolved, ligatures and wide letters taken apart, quotation marks made straight, control characters dropped, white
// space made single, letters lowered. As in the reference, "<|endoftext|>" in a text gives the id of the end.
func (t *CLIPTokenizer) Encode(s string) []int32 {
	ids := make([]int32, 0, len(s)/4+2)
	for s = clipText(s); s != ""; {
		n := clipWord(s)
		switch word := s[:n]; {
		case word == startOfText:
			ids = append(ids, t.start)
		case word == EndOfText:
			ids = append(ids, t.end)
		case word != " " && word != iotaBelow:
			ids = t.appendWord(ids, word)
		}
		s = s[n:]
	}
	return ids
}

// Context returns n ids for the text tower: start, the text, end, and zeros behind. Of a text that is too long the
// end is cut off, as clip.tokenize(truncate=True) does, and cut is true.
func (t *CLIPTokenizer) Context(s string, n int) (ids []int32, cut bool) {
	ids = make([]int32, n)
	all := append(append([]int32{t.start}, t.Encode(s)...), t.end)
	if cut = copy(ids, all) < len(all); cut && n > 0 {
		ids[n-1] = t.end
	}
	return ids, cut
}

// Decode returns the text of ids, with a space after each word but the last. Start and end are left out, and ids that
// do not exist.
func (t *CLIPTokenizer) Decode(ids []int32) string {
	var b []byte
	for _, id := range ids {
		if id < 0 || id == t.start || id == t.end || int(id) >= len(t.model.tokens) {
			continue
		}
		word, ends := strings.CutSuffix(t.model.tokens[id], wordEnd)
		if b = appendBytes(b, word); ends {
			b = append(b, ' ')
		}
	}
	return strings.TrimSuffix(validUTF8(string(b)), " ")
}

// appendWord adds the ids of one word, whose last byte is one of the end of a word.
func (t *CLIPTokenizer) appendWord(dst []int32, word string) []int32 {
	from := len(dst)
	for i := range len(word) {
		dst = append(dst, t.model.byteID[word[i]])
	}
	dst[len(dst)-1] += 256
	return dst[:from+t.model.merge(dst[from:], nil)]
}

// clipWord returns the length in bytes of the first word of a cleaned text that is not empty. It matches what CLIP's
// pattern
//
//	<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
//
// does without regard to case; a space and the iota below, which belong to no word, count as one each.
func clipWord(s string) int {
	for _, special := range []string{startOfText, EndOfText} {
		if n := foldedPrefix(s, special); n > 0 {
			return n
		}
	}
	if n := contraction(s); n > 0 {
		return n
	}
	if n := foldedPrefix(s, "'s"); n > 0 {
		return n
	}
	first, size := utf8.DecodeRuneInString(s)
	switch c := classOf(first); {
	case c == letter:
		return run(s, c)
	case c == other && !strings.HasPrefix(s, iotaBelow):
		n := run(s, c)
		if i := strings.Index(s[:n], iotaBelow); i > 0 {
			return i
		}
		return n
	}
	return size
}

// foldedPrefix returns how many bytes of s match a lower-case prefix. In a text that has been lowered, the one letter
// that matches another by case alone is the long s.
func foldedPrefix(s, prefix string) int {
	n := 0
	for i := range len(prefix) {
		switch {
		case prefix[i] == 's' && strings.HasPrefix(s[n:], "ſ"):
			n += len("ſ")
		case n < len(s) && s[n] == prefix[i]:
			n++
		default:
			return 0
		}
	}
	return n
}

// clipText cleans a text as CLIP does before it splits it.
func clipText(s string) string {
	s = unescapeHTML(unescapeHTML(repair(validUTF8(s))))
	s = strings.Join(strings.FieldsFunc(strings.TrimFunc(s, pythonSpace), unicode.IsSpace), " ")
	return lowerText(s)
}

// pythonSpace is what str.strip takes away.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
