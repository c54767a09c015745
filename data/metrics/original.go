package metrics

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"captioner/data/mersenne"
	"captioner/data/metrics/ptb"
)

// TokenBLEU is BLEU-4 over token ids as clip-text-decoder 1.2.0 measures it, over GPT-2 tokens: corpus level, case
// kept, no smoothing, lengths against the shortest reference. Zero when any precision is zero.
func TokenBLEU(hyps [][]int32, refs [][][]int32) (float64, error) {
	if len(hyps) != len(refs) {
		return 0, fmt.Errorf("score token ids: %d hypotheses, %d sets of references", len(hyps), len(refs))
	}
	table := newNgramTable()
	var total BLEUStats
	w := &worker{}
	var hypGrams []int32
	for i, hyp := range hyps {
		if len(refs[i]) == 0 {
			return 0, fmt.Errorf("score token ids: caption %d of %d has no reference", i, len(hyps))
		}
		hypGrams = table.grams(hypGrams[:0], hyp)
		var refGrams [][]int32
		for _, r := range refs[i] {
			refGrams = append(refGrams, table.grams(nil, r))
		}
		w.order = table.order
		for len(w.one.count) < len(table.order) {
			grown := len(w.one.count) + len(table.order)
			w.one.count = append(w.one.count, make([]int32, grown-len(w.one.count))...)
			w.best.count = append(w.best.count, make([]int32, grown-len(w.best.count))...)
		}
		total.Add(w.bleuStats(hyp, refs[i], hypGrams, refGrams, shortest))
	}
	return total.HFBLEU(), nil
}

// HFBLEU is BLEU-4 as clip-text-decoder 1.4.4 measures it, by Hugging Face's package evaluate: words by Tokenize13a,
// case kept, corpus level, no smoothing, lengths against the shortest reference.
func HFBLEU(hyps []string, refs [][]string) (float64, error) {
	ids := map[string]int32{}
	number := func(s string) []int32 {
		words := Tokenize13a(s)
		out := make([]int32, len(words))
		for i, w := range words {
			id, ok := ids[w]
			if !ok {
				id = int32(len(ids))
				ids[w] = id
			}
			out[i] = id
		}
		return out
	}
	h := make([][]int32, len(hyps))
	for i, s := range hyps {
		h[i] = number(s)
	}
	r := make([][][]int32, len(refs))
	for i, x := range refs {
		for _, s := range x {
			r[i] = append(r[i], number(s))
		}
	}
	return TokenBLEU(h, r)
}

var (
	mtSymbols = regexp.MustCompile("([{-~[-` -&(-+:-@/])")
	mtBefore  = regexp.MustCompile(`([^0-9])([.,])`)
	mtBehind  = regexp.MustCompile(`([.,])([^0-9])`)
	mtDash    = regexp.MustCompile(`([0-9])(-)`)
	mtEntity  = []string{"&quot;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">"}
)

// Tokenize13a splits a line as the script mteval-v13a of the WMT evaluations does; case is kept.
func Tokenize13a(s string) []string {
	s = strings.ReplaceAll(s, "<skipped>", "")
	s = strings.ReplaceAll(s, "-\n", "")
	s = strings.ReplaceAll(s, "\n", " ")
	for i := 0; i < len(mtEntity); i += 2 {
		s = strings.ReplaceAll(s, mtEntity[i], mtEntity[i+1])
	}
	s = mtSymbols.ReplaceAllString(" "+s+" ", " $1 ")
	s = mtBefore.ReplaceAllString(s, "$1 $2 ")
	s = mtBehind.ReplaceAllString(s, " $1 $2")
	s = mtDash.ReplaceAllString(s, "$1 $2 ")
	return strings.FieldsFunc(s, ptb.PythonSpace)
}

// SampleIndices returns the first k of torch.randperm(n) after torch.manual_seed(seed): which images clip-text-decoder
// scores (seed 0; 4,096 of them in 1.2.0, 2,048 in 1.4.4).
func SampleIndices(n, k int, seed uint32) []int {
	g := mersenne.New(seed)
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	for i := 0; i < n-1 && i < k; i++ {
		j := i + int(g.Next())%(n-i)
		out[i], out[j] = out[j], out[i]
	}
	return slices.Clip(out[:min(k, n)])
}
