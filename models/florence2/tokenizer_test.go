package florence2

import (
	"io/fs"
	"os"
	"testing"

	"captioner/data/tokenizer"
)

// authorsFolder has the tokenizer's files of BART alone, as the folders of Florence-2's authors do.
type authorsFolder map[string][]byte

func (f authorsFolder) Read(name string) ([]byte, error) {
	b, ok := f[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

// BART's vocabulary gets the tokens that the authors' processor adds to it, from either kind of files.
func TestReadTokenizerOfTheAuthors(t *testing.T) {
	const data = "../../../shared/data/"
	vocab, err := os.ReadFile(data + "bart/vocab.json")
	merges, err2 := os.ReadFile(data + "gpt2/merges.txt")
	if err != nil || err2 != nil {
		t.Skipf("no vocabulary of BART and merges of GPT-2 in %s", data)
	}
	bart, err := tokenizer.NewBART(vocab, merges, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := bart.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, folder := range map[string]authorsFolder{
		"vocab.json and merges.txt": {"vocab.json": vocab, "merges.txt": merges},
		"tokenizer.json":            {"tokenizer.json": text},
	} {
		got, err := readTokenizer(folder, 51289)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for token, want := range map[string]int32{
			"<s>": 0, "</s>": 2, "<mask>": 50264, "<od>": 50265, "</ocr>": 50268, "<loc_0>": 50269, "<loc_999>": 51268,
			"<cap>": 51269, "<sep>": 51279, "<region_to_desciption>": 51282, "<and>": 51288,
		} {
			if id, ok := got.ID(token); !ok || id != want || !got.IsSpecial(id) {
				t.Errorf("%s: got %d, %t for %q, want %d, special", name, id, ok, token, want)
			}
		}
		if n := got.VocabSize(); n != 51289 {
			t.Errorf("%s: got %d tokens, want 51289", name, n)
		}
		if _, err := readTokenizer(folder, 51000); err == nil {
			t.Errorf("%s: got no error for a vocabulary of 51000", name)
		}
	}
}

// Prompts become the sentences of Florence2Processor.
func TestSentence(t *testing.T) {
	for prompt, want := range map[string]string{
		"<CAPTION>":               "What does the image describe?",
		"<DETAILED_CAPTION>":      "Describe in detail what is shown in the image.",
		"<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
		"<OCR>":                   "What is the text in the image?",
		"<OCR_WITH_REGION>":       "What is the text in the image, with regions?",
		"<REGION_TO_CATEGORY> <loc_1><loc_2><loc_3><loc_4> ": "What is the region <loc_1><loc_2><loc_3><loc_4>?",
		"<CAPTION_TO_PHRASE_GROUNDING>a dog":                 "Locate the phrases in the caption: a dog",
		"a prompt of one's own":                              "a prompt of one's own",
	} {
		if got, err := sentence(prompt); err != nil || got != want {
			t.Errorf("%q: got %q and %v, want %q", prompt, got, err, want)
		}
	}
	for _, prompt := range []string{"a <CAPTION>", "<OCR> and more"} {
		if got, err := sentence(prompt); err == nil {
			t.Errorf("%q: got %q, want it refused as Florence2Processor does", prompt, got)
		}
	}
}
