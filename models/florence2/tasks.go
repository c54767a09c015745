package florence2

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"captioner/data/tokenizer"
	"captioner/models/decode"
	"captioner/models/encoder"
)

// tasks are what can be asked for by name: those whose answer is a text about the whole image.
var tasks = []decode.Task{
	{Name: "caption", Prompt: "<CAPTION>"},
	{Name: "detailed", Prompt: "<DETAILED_CAPTION>"},
	{Name: "more-detailed", Prompt: "<MORE_DETAILED_CAPTION>"},
	{Name: "ocr", Prompt: "<OCR>"},
}

// sentences are what the published models were trained to read for a task's token (transformers v4.57.1,
// Florence2Processor). Of the second list a text stands beside the token, and comes in the place of %s.
var (
	sentences = [][2]string{
		{"<OCR>", "What is the text in the image?"},
		{"<OCR_WITH_REGION>", "What is the text in the image, with regions?"},
		{"<CAPTION>", "What does the image describe?"},
		{"<DETAILED_CAPTION>", "Describe in detail what is shown in the image."},
		{"<MORE_DETAILED_CAPTION>", "Describe with a paragraph what is shown in the image."},
		{"<OD>", "Locate the objects with category name in the image."},
		{"<DENSE_REGION_CAPTION>", "Locate the objects in the image, with their descriptions."},
		{"<REGION_PROPOSAL>", "Locate the region proposals in the image."},
	}
	sentencesWithInput = [][2]string{
		{"<CAPTION_TO_PHRASE_GROUNDING>", "Locate the phrases in the caption: %s"},
		{"<REFERRING_EXPRESSION_SEGMENTATION>", "Locate %s in the image with mask"},
		{"<REGION_TO_SEGMENTATION>", "What is the polygon mask of region %s"},
		{"<OPEN_VOCABULARY_DETECTION>", "Locate %s in the image."},
		{"<REGION_TO_CATEGORY>", "What is the region %s?"},
		{"<REGION_TO_DESCRIPTION>", "What does the region %s describe?"},
		{"<REGION_TO_OCR>", "What text is in the region %s?"},
	}
)

// sentence is what is read for a prompt: the sentence of its task's token, or the prompt itself.
func sentence(prompt string) (string, error) {
	for _, s := range sentences {
		if prompt == s[0] {
			return s[1], nil
		}
		if strings.Contains(prompt, s[0]) {
			return "", fmt.Errorf("%s alone, with nothing beside it", s[0])
		}
	}
	for _, s := range sentencesWithInput {
		if strings.Contains(prompt, s[0]) {
			return strings.Replace(s[1], "%s", strip(strings.ReplaceAll(prompt, s[0], "")), 1), nil
		}
	}
	return prompt, nil
}

// Reading says how prompts are read: an image's positions, then the prompt between the tokens for begin and end.
func (c Config) Reading(t tokenizer.Codec, m encoder.Memory) *decode.Reading {
	positions, _ := m.Shape()
	image := slices.Repeat([]int32{c.ImageID}, int(positions+1))
	room := int(c.Text.Positions) - len(image)
	return &decode.Reading{
		Tasks: tasks, Image: image,
		Prompt: func(text string) ([]int32, error) {
			text, err := sentence(text)
			if err != nil {
				return nil, err
			}
			tokens := append([]int32{t.BOS()}, append(t.EncodeSpecial(text), t.EOS())...)
			if slices.Contains(tokens, c.ImageID) {
				return nil, errors.New("no token that stands for an image")
			}
			if len(tokens) > room {
				return nil, fmt.Errorf("at most %d tokens beside the image, not %d", room, len(tokens))
			}
			return tokens, nil
		},
	}
}

// Spell gives the text of a caption's tokens as Florence2Processor does for these tasks: the tokens for begin and end
// are left out, other special ones are not.
func (c Config) Spell(t tokenizer.Codec, tokens []int32) string {
	var b strings.Builder
	from := 0
	for i, id := range tokens {
		if t.IsSpecial(id) {
			token, _ := t.Token(id)
			b.WriteString(t.Decode(tokens[from:i]) + token)
			from = i + 1
		}
	}
	text := b.String() + t.Decode(tokens[from:])
	if c.CleanUp {
		text = tokenizer.CleanUpSpaces(text)
	}
	return strip(strings.ReplaceAll(strings.ReplaceAll(text, "<s>", ""), "</s>", ""))
}

// strip is Python's, which counts four control characters as white space.
func strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}
