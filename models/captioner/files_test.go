package captioner

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/tokenizer"
	"captioner/models/checkpoint"
	"captioner/models/gpt2"
	"captioner/weights/formats"
)

// oneLineWith holds an error to one line that says what is wrong.
func oneLineWith(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: got %v, want one line with %q", name, err, want)
	}
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// withFiles copies a checkpoint to a folder of its own, beside the number of heads and the tokenizer that its weights
// do not hold. Where a checkpoint holds its own, they are not read.
func withFiles(t testing.TB, path string, heads int64, words tokenizer.Codec) string {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, filepath.Base(path), string(b))
	text, err := words.JSON()
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tokenizer.json", string(text))
	src, err := formats.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	named, err := gpt2.Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	net, err := gpt2.ConfigOf(named)
	if err != nil {
		t.Fatal(err)
	}
	net.Heads = heads
	config, err := json.Marshal(net)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "config.json", string(config))
	return filepath.Join(dir, filepath.Base(path))
}

// wordsOf is the tokenizer of a checkpoint.
func wordsOf(t testing.TB, path string) tokenizer.Codec {
	t.Helper()
	f, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Tokenizer
}
