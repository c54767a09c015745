package tokenizer

import (
	"strings"
	"testing"
)

func BenchmarkEncode(b *testing.B) {
	texts := cocoCaptions(b)
	for _, way := range []struct {
		name string
		t    *Tokenizer
	}{{"gpt2", GPT2()}, {"lower", GPT2().With(captions)}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				way.t.Encode(texts[i%len(texts)])
				i++
			}
		})
	}
}

func BenchmarkGPT2Tables(b *testing.B) {
	for b.Loop() {
		if _, err := buildGPT2(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseTrimmed(b *testing.B) {
	texts := cocoCaptions(b)
	t := GPT2().With(captions)
	for id := range int32(3300) { // some 4,000 tokens with those of the captions
		texts = append(texts, string(t.AppendBytes(nil, id)))
	}
	uses := t.Count(func(yield func(string) bool) {
		for _, s := range texts {
			if !yield(s) {
				return
			}
		}
	})
	trimmed, _, err := t.Trim(AtLeast(uses, 8))
	if err != nil {
		b.Fatal(err)
	}
	text, err := trimmed.JSON()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(trimmed.VocabSize()), "tokens")
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(trimmed.VocabSize()), "tokens")
}

func BenchmarkLongWord(b *testing.B) {
	text := strings.Repeat("abcdefghij", 10_000)
	for b.Loop() {
		GPT2().Encode(text)
	}
}
