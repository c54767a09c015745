package tokenizer

import "slices"

// bartEnds begin and end a text of BART (Lewis et al. 2020) and its kin.
var bartEnds = ends{"<s>", "</s>"}

// NewBART makes the byte-level BPE of BART from its two files, as New does: GPT-2's merges over another order of ids,
// with special tokens in front. added are tokens beside BART's own, such as Florence-2's places (<loc_0>, …), of
// which those that vocab.json lacks carry the ids behind it. [Tokenizer.BOS] is <s>, [Tokenizer.EOS] is </s>.
func NewBART(vocab, merges []byte, added []AddedToken) (*Tokenizer, error) {
	list := []AddedToken{
		{Content: "<s>", Special: true},
		{Content: "<pad>", Special: true},
		{Content: "</s>", Special: true},
		{Content: "<unk>", Special: true},
		{Content: "<mask>", Special: true, LStrip: true},
	}
	for _, a := range added {
		i := slices.IndexFunc(list, func(b AddedToken) bool { return a.Content == b.Content })
		if i < 0 {
			list = append(list, a)
		} else {
			list[i] = a
		}
	}
	return newBPE(vocab, merges, list, bartEnds)
}
