package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/models/checkpoint"
)

// A run from a model may add tokens to it: those of the text count, the model's stay, and the run resumes to the same
// bits.
func TestExtendsVocabulary(t *testing.T) {
	dir := t.TempDir()
	o := smallRun(t, dir)
	o.SCSTSteps = 0
	train(t, filepath.Join(dir, "first"), o)

	lines := filepath.Join(dir, "more.txt")
	text := strings.Repeat("a zebra eats broccoli in the kitchen\n", 40)
	if err := os.WriteFile(lines, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	o.Init, o.Encoder, o.EncoderName = filepath.Join(dir, "first", bestFile), "", ""
	o.Text, o.ExtendVocab, o.VocabMinCount = []string{lines}, true, 40
	want := train(t, filepath.Join(dir, "more"), o)
	tokens := func(run string) int {
		c, err := checkpoint.Known().Open(filepath.Join(dir, run, bestFile))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		bpe, err := c.BPE()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := bpe.ID("Ġkitchen"); ok != (run == "more") {
			t.Errorf("run %q: a token of its own for kitchen: %v", run, ok)
		}
		return bpe.VocabSize()
	}
	if before, after := tokens("first"), tokens("more"); after <= before {
		t.Errorf("got %d tokens, and %d in the model before", after, before)
	}

	run := filepath.Join(dir, "cut")
	if err := stopped(run, o, false, "captions 5"); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped run: got %v, want context canceled", err)
	}
	if err := Resume(context.Background(), run, func(Event) {}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, run), want) {
		t.Error("a resumed run wrote another model")
	}

	o.Init = ""
	err := Run(context.Background(), filepath.Join(dir, "none"), o, func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "extend-vocab: found no init") {
		t.Errorf("without a model: got %v", err)
	}
}
