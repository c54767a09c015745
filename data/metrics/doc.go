// Package metrics scores captions against references: the Penn Treebank tokenizer as coco-caption runs it, BLEU,
// ROUGE-L, CIDEr, CIDEr-D (also as a reward over token ids) and METEOR, with the numbers of the Python and Java
// originals and without Python and Java. It also describes a set of captions alone: vocabulary, distinct n-grams,
// repetition, novelty.
//
// All measures are fractions at full precision, never percentages. The package knows English only and refuses captions
// without references.
//
//	scores := metrics.Score([]string{"a dog runs"}, [][]string{{"the dog runs fast", "a running dog"}})
//	fmt.Println(scores.BLEU[3], scores.CIDEr)
package metrics
