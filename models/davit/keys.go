package davit

import (
	"fmt"
	"strings"

	"captioner/weights"
)

// The tensors that tell a network of Hugging Face and one of Florence-2's authors, behind any prefix.
const (
	huggingFaceMark = "vision_tower.convs.0.conv.weight"
	authorsMark     = "vision_tower.convs.0.proj.weight"
)

// authorsPatterns are the names of Florence-2's authors and Hugging Face's.
var authorsPatterns = []string{
	"convs.*.proj.*", "convs.*.conv.*",
	"convs.*.norm.*", "convs.*.norm.*",
	"blocks.*.*.*.*.fn.dw.*", "blocks.*.*.*.*.*",
	"blocks.*.*.*.ffn.norm.*", "blocks.*.*.*.norm2.*",
	"blocks.*.*.*.ffn.fn.net.*.*", "blocks.*.*.*.ffn.*.*",
	"blocks.*.*.*.window_attn.norm.*", "blocks.*.*.*.norm1.*",
	"blocks.*.*.*.channel_attn.norm.*", "blocks.*.*.*.norm1.*",
	"blocks.*.*.*.window_attn.fn.*.*", "blocks.*.*.*.window_attn.*.*",
	"blocks.*.*.*.channel_attn.fn.*.*", "blocks.*.*.*.channel_attn.*.*",
}

// find says where a network stands in src: the prefix of its tensors' names, and whose names they are.
func find(src weights.Source) (prefix string, authors, ok bool) {
	for _, name := range src.Names() {
		for mark, authors := range map[string]bool{huggingFaceMark: false, authorsMark: true} {
			if before, ok := strings.CutSuffix(name, mark); ok {
				return before + "vision_tower.", authors, true
			}
		}
	}
	return "", false, false
}

// Keys shows the network inside a checkpoint of Florence-2, of Hugging Face or of its authors, under Hugging Face's
// names without a prefix. The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, authors, ok := find(src)
	if !ok {
		const message = "read DaViT's weights: found %d tensors, none of them %q or %q, want a checkpoint of Florence-2"
		return nil, fmt.Errorf(message, len(src.Names()), huggingFaceMark, authorsMark)
	}
	rename := weights.Patterns(authorsPatterns...)
	return weights.Rename(src, func(name string) (string, bool) {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			return "", false
		}
		if ours, ok := rename(rest); ok && authors {
			return ours, true
		}
		return rest, true // unknown names: the strict load tells them
	})
}
