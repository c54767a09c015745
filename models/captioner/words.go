package captioner

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"captioner/data/tokenizer"
	"captioner/weights/pickle"
)

// gpt2Words is the size of GPT-2's vocabulary, and of its table of merges.
const gpt2Words, gpt2Merges = 50257, 50000

// words makes the tokenizer of a checkpoint from what a pickle says about its GPT2Tokenizer or GPT2TokenizerFast; without one (nil), a vocabulary
// of GPT-2's size is GPT-2's.
func words(record any, vocabulary int64) (*tokenizer.Tokenizer, error) {
	if record == nil {
		if vocabulary != gpt2Words {
			return nil, fmt.Errorf("tokenizer: found none in the file, and a vocabulary of %d tokens, want GPT-2's %d", vocabulary, gpt2Words)
		}
		return tokenizer.GPT2(), nil
	}
	t, err := pickledWords(record)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if n := int64(t.VocabSize()); n != vocabulary {
		return nil, fmt.Errorf("tokenizer: found %d tokens, want the decoder's %d", n, vocabulary)
	}
	return t, nil
}

func pickledWords(record any) (*tokenizer.Tokenizer, error) {
	r, ok := record.(*pickle.Record)
	if !ok || !strings.HasPrefix(r.Name, "GPT2Tokenizer") {
		return nil, errors.New("found no GPT2Tokenizer")
	}
	if fast, ok := attribute[*pickle.Record](r, "_tokenizer"); ok { // GPT2TokenizerFast
		text, ok := fast.State.(pickle.Bytes)
		if !ok {
			return nil, errors.New("found a fast tokenizer without its tokenizer.json")
		}
		return tokenizer.Parse(text)
	}
	encoder, _ := attribute[*pickle.Dict](r, "encoder")
	ranks, _ := attribute[*pickle.Dict](r, "bpe_ranks")
	if encoder == nil || ranks == nil {
		return nil, errors.New("found a GPT2Tokenizer without encoder and bpe_ranks")
	}
	if isGPT2(encoder, ranks) {
		return tokenizer.GPT2(), nil
	}
	return slowWords(r, encoder, ranks)
}

// isGPT2 says whether a vocabulary is GPT-2's own, which need not be built again.
func isGPT2(encoder, ranks *pickle.Dict) bool {
	if encoder.Len() != gpt2Words || ranks.Len() != gpt2Merges {
		return false
	}
	t := tokenizer.GPT2()
	for k, v := range encoder.All() {
		token, _ := k.(string)
		if id, ok := t.ID(token); !ok || v != int64(id) {
			return false
		}
	}
	return true
}

// slowWords makes a tokenizer.json of a GPT2Tokenizer: its vocabulary, its merges in their order, and what was added to them.
func slowWords(r *pickle.Record, encoder, ranks *pickle.Dict) (*tokenizer.Tokenizer, error) {
	vocab := map[string]int64{}
	for k, v := range encoder.All() {
		token, ok := k.(string)
		id, ok2 := v.(int64)
		if !ok || !ok2 {
			return nil, errors.New("found an entry of the encoder that is not text and number")
		}
		vocab[token] = id
	}
	type merge struct {
		rank int64
		text string
	}
	var merges []merge
	for k, v := range ranks.All() {
		pair, _ := k.(pickle.Tuple)
		rank, ok := v.(int64)
		if len(pair) != 2 || !ok {
			return nil, errors.New("found a merge that is no pair with a rank")
		}
		left, _ := pair[0].(string)
		right, _ := pair[1].(string)
		merges = append(merges, merge{rank, left + " " + right})
	}
	slices.SortStableFunc(merges, func(a, b merge) int { return cmp.Compare(a.rank, b.rank) })
	lines := make([]string, len(merges))
	for i, m := range merges {
		lines[i] = m.text
	}
	prefix, _ := attribute[bool](r, "add_prefix_space")
	added := []tokenizer.AddedToken{}
	for token, id := range addedWords(r) {
		if id != int64(int32(id)) {
			return nil, fmt.Errorf("found id %d of an added token, want fewer", id)
		}
		added = append(added, tokenizer.AddedToken{ID: int32(id), Content: token, Special: true})
	}
	if id, ok := vocab[tokenizer.EndOfText]; ok && !slices.ContainsFunc(added, func(a tokenizer.AddedToken) bool { return a.Content == tokenizer.EndOfText }) {
		added = append(added, tokenizer.AddedToken{ID: int32(id), Content: tokenizer.EndOfText, Special: true})
	}
	slices.SortFunc(added, func(a, b tokenizer.AddedToken) int { return cmp.Compare(a.ID, b.ID) })
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(map[string]any{
		"added_tokens":  added,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": prefix},
		"decoder":       map[string]any{"type": "ByteLevel"},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": lines},
	})
	if err != nil {
		return nil, err
	}
	return tokenizer.Parse(text.Bytes())
}

// addedWords are the tokens that were added to a slow tokenizer's vocabulary: transformers before 4.34 keep text and number, later ones number
// and AddedToken.
func addedWords(r *pickle.Record) map[string]int64 {
	out := map[string]int64{}
	if d, ok := attribute[*pickle.Dict](r, "added_tokens_encoder"); ok {
		for k, v := range d.All() {
			token, ok := k.(string)
			if id, ok2 := v.(int64); ok && ok2 {
				out[token] = id
			}
		}
	}
	if d, ok := attribute[*pickle.Dict](r, "_added_tokens_decoder"); ok {
		for k, v := range d.All() {
			id, ok := k.(int64)
			token, ok2 := v.(*pickle.Record)
			if !ok || !ok2 {
				continue
			}
			if content, ok := attribute[string](token, "content"); ok {
				out[content] = id
			}
		}
	}
	return out
}
