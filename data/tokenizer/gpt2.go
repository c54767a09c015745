package tokenizer

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"
)

// gpt2/merges.txt.gz is OpenAI's file as published (see gpt2/LICENSE). Their vocab.json follows from it and is not
// kept: ids 0-255 are the bytes in the order of their spelling, 256+i is what merge i makes, <|endoftext|> comes
// last. A test rebuilds vocab.json from that and compares its SHA-256 with the published file's.
//
//go:embed gpt2/merges.txt.gz
var gpt2Merges []byte

const gpt2Tokens = 50257

var gpt2 = sync.OnceValues(buildGPT2)

func buildGPT2() (*Tokenizer, error) {
	pairs, err := unpackMerges(gpt2Merges)
	if err != nil {
		return nil, err
	}
	tokens := slices.Grow(bytesInOrder(), gpt2Tokens-256)
	for _, p := range pairs {
		tokens = append(tokens, p[0]+p[1])
	}
	tokens = append(tokens, EndOfText)
	m, err := newModel(tokens, len(tokens), pairs)
	if err != nil {
		return nil, err
	}
	return newTokenizer(m, []AddedToken{{Content: EndOfText, Special: true}}, gpt2Ends, Options{})
}

// GPT2 returns GPT-2's tokenizer: 50,257 ids, of which the last is <|endoftext|>. Its tables are built at the first
// call.
func GPT2() *Tokenizer {
	t, err := gpt2()
	if err != nil {
		panic(fmt.Sprintf("tokenizer: the vocabulary inside the program is broken: %v", err))
	}
	return t
}
