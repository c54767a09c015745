package tokenizer

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"sync"
)

// bert/vocab.txt.gz is the vocabulary of bert-base-uncased as published (see bert/LICENSE): 30,522 tokens. BLIP and GIT
// write with it, and checkpoints of LAVIS have no file of it.
//
//go:embed bert/vocab.txt.gz
var bertTokens []byte

var bertVocab = sync.OnceValues(func() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(bertTokens))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
})

// BERTUncased returns the tokenizer of bert-base-uncased with further tokens, the first of which has the id 30,522.
func BERTUncased(added ...AddedToken) *WordPiece {
	vocab, err := bertVocab()
	if err == nil {
		list := slices.Clone(added)
		for i := range list {
			list[i].ID = int32(bytes.Count(vocab, []byte{'\n'}) + i)
		}
		var t *WordPiece
		if t, err = NewWordPiece(vocab, list, BERT()); err == nil {
			return t
		}
	}
	panic(fmt.Sprintf("tokenizer: BERT's vocabulary inside the program is broken: %v", err))
}
