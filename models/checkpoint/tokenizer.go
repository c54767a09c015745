package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/encoder"
	"captioner/weights/pickle"
	"captioner/weights/plural"
)

// gpt2Tokens is the size of GPT-2's vocabulary, and of its table of merges.
const gpt2Tokens, gpt2Merges = 50257, 50000

// A TokenizerMissingError says that a checkpoint has no tokenizer, and a vocabulary that is not GPT-2's.
type TokenizerMissingError struct {
	Vocabulary int64
	Beside     bool // the files of Hugging Face were looked for beside it
}

func (e *TokenizerMissingError) Error() string {
	const found = "tokenizer: found none in the file, and a vocabulary of %d tokens, want GPT-2's %d"
	text := fmt.Sprintf(found, e.Vocabulary, gpt2Tokens)
	if e.Beside {
		text += ", or tokenizer.json, or vocab.json and merges.txt, beside the file"
	}
	return text
}

// Hint says where the files come from.
func (e *TokenizerMissingError) Hint() string {
	return "the tokenizer that it was trained with writes these files by save_pretrained(FOLDER)"
}

// gpt2Tokenizer is GPT-2's, for a vocabulary of its size.
func gpt2Tokenizer(vocabulary int64) (*tokenizer.Tokenizer, error) {
	if vocabulary != gpt2Tokens {
		return nil, &TokenizerMissingError{Vocabulary: vocabulary}
	}
	return tokenizer.GPT2(), nil
}

// checkpointTokenizer is the tokenizer of a checkpoint that may hold a pickled one. Without one (nil), a vocabulary of
// GPT-2's size is GPT-2's, and another one is looked for beside the file.
func checkpointTokenizer(record any, beside encoder.Folder, vocabulary int64) (*tokenizer.Tokenizer, error) {
	if record == nil && vocabulary == gpt2Tokens {
		return tokenizer.GPT2(), nil
	}
	if record == nil {
		return besideTokenizer(beside, vocabulary)
	}
	t, err := pickledTokenizer(record)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if n := int64(t.VocabSize()); n != vocabulary {
		return nil, fmt.Errorf("tokenizer: found %s, want the decoder's %d", plural.Count(n, "token"), vocabulary)
	}
	return t, nil
}

// besideTokenizer is the tokenizer in the files of Hugging Face beside a checkpoint.
func besideTokenizer(beside encoder.Folder, vocabulary int64) (*tokenizer.Tokenizer, error) {
	t, err := readTokenizer(beside)
	switch {
	case err != nil:
		return nil, fmt.Errorf("tokenizer: read the files beside the checkpoint: %w", err)
	case t == nil:
		return nil, &TokenizerMissingError{Vocabulary: vocabulary, Beside: true}
	case int64(t.VocabSize()) != vocabulary:
		const found = "tokenizer: found %d tokens in the files beside the checkpoint, want the decoder's %d"
		return nil, fmt.Errorf(found, t.VocabSize(), vocabulary)
	}
	return t, nil
}

// folderTokenizer is the tokenizer of a folder of Hugging Face. Without its files, a vocabulary of GPT-2's size is
// GPT-2's. A model's vocabulary may be padded above the tokenizer's.
func folderTokenizer(beside encoder.Folder, vocabulary int64) (*tokenizer.Tokenizer, error) {
	t, err := readTokenizer(beside)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return gpt2Tokenizer(vocabulary)
	}
	if n := int64(t.VocabSize()); n > vocabulary {
		return nil, fmt.Errorf("tokenizer: found %s, want at most the decoder's %d", plural.Count(n, "token"), vocabulary)
	}
	return t, nil
}

// readTokenizer reads tokenizer.json, or vocab.json and merges.txt; nil where there is neither.
func readTokenizer(beside encoder.Folder) (*tokenizer.Tokenizer, error) {
	b, err := beside.Read("tokenizer.json")
	if err == nil {
		return tokenizer.Parse(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	vocab, err := beside.Read("vocab.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	merges, err2 := beside.Read("merges.txt")
	if err := errors.Join(err, err2); err != nil {
		return nil, oneLine(err)
	}
	return tokenizer.New(vocab, merges)
}

// pickledTokenizer makes the tokenizer of what a pickle says about its GPT2Tokenizer or GPT2TokenizerFast.
func pickledTokenizer(record any) (*tokenizer.Tokenizer, error) {
	r, ok := record.(*pickle.Record)
	if !ok || !strings.HasPrefix(r.Name, "GPT2Tokenizer") {
		return nil, errors.New("found no GPT2Tokenizer")
	}
	if fast, ok := pickle.Follow[*pickle.Record](r, "_tokenizer"); ok { // GPT2TokenizerFast
		text, ok := fast.State.(pickle.Bytes)
		if !ok {
			return nil, errors.New("found a fast tokenizer without its tokenizer.json")
		}
		return tokenizer.Parse(text)
	}
	vocabulary, _ := pickle.Follow[*pickle.Dict](r, "encoder")
	ranks, _ := pickle.Follow[*pickle.Dict](r, "bpe_ranks")
	if vocabulary == nil || ranks == nil {
		return nil, errors.New("found a GPT2Tokenizer without encoder and bpe_ranks")
	}
	if isGPT2(vocabulary, ranks) {
		return tokenizer.GPT2(), nil
	}
	return slowTokenizer(r, vocabulary, ranks)
}

// isGPT2 says whether a vocabulary is GPT-2's own, which need not be built again.
func isGPT2(vocabulary, ranks *pickle.Dict) bool {
	if vocabulary.Len() != gpt2Tokens || ranks.Len() != gpt2Merges {
		return false
	}
	t := tokenizer.GPT2()
	for k, v := range vocabulary.All() {
		token, _ := k.(string)
		if id, ok := t.ID(token); !ok || v != int64(id) {
			return false
		}
	}
	return true
}

// slowTokenizer makes a tokenizer.json of a GPT2Tokenizer: its vocabulary, its merges in their order, and what was
// added to them.
func slowTokenizer(r *pickle.Record, vocabulary, ranks *pickle.Dict) (*tokenizer.Tokenizer, error) {
	vocab := map[string]int64{}
	for k, v := range vocabulary.All() {
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
	prefix, _ := pickle.Follow[bool](r, "add_prefix_space")
	added := []tokenizer.AddedToken{}
	for token, id := range addedTokens(r) {
		if id != int64(int32(id)) {
			return nil, fmt.Errorf("found id %d of an added token, want fewer", id)
		}
		added = append(added, tokenizer.AddedToken{ID: int32(id), Content: token, Special: true})
	}
	if id, ok := vocab[tokenizer.EndOfText]; ok &&
		!slices.ContainsFunc(added, func(a tokenizer.AddedToken) bool { return a.Content == tokenizer.EndOfText }) {
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

// addedTokens are the tokens that were added to a slow tokenizer's vocabulary: transformers before 4.34 keep text and
// number, later ones number and AddedToken.
func addedTokens(r *pickle.Record) map[string]int64 {
	out := map[string]int64{}
	if d, ok := pickle.Follow[*pickle.Dict](r, "added_tokens_encoder"); ok {
		for k, v := range d.All() {
			token, ok := k.(string)
			if id, ok2 := v.(int64); ok && ok2 {
				out[token] = id
			}
		}
	}
	if d, ok := pickle.Follow[*pickle.Dict](r, "_added_tokens_decoder"); ok {
		for k, v := range d.All() {
			id, ok := k.(int64)
			token, ok2 := v.(*pickle.Record)
			if !ok || !ok2 {
				continue
			}
			if content, ok := pickle.Follow[string](token, "content"); ok {
				out[content] = id
			}
		}
	}
	return out
}
