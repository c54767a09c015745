package tokenizer

import (
	"fmt"
	"maps"
	"strings"
)

// bertSpecial are BERT's special tokens and what a BertTokenizer calls them.
var bertSpecial = map[string]string{
	bertUnknown: "unk_token", bertEnd: "sep_token", bertPad: "pad_token", bertBegin: "cls_token", bertMask: "mask_token",
}

// Folder gives the files of a BertTokenizer as its save_pretrained writes them, by their names: tokenizer.json, which
// puts [CLS] and [SEP] around a text, vocab.txt, tokenizer_config.json and special_tokens_map.json. longest is the most
// tokens of a text that the model takes.
func (t *WordPiece) Folder(longest int) (map[string][]byte, error) {
	special, rest := map[string]any{}, []string{}
	for token, name := range bertSpecial {
		if _, ok := t.ids[token]; ok {
			special[name] = token
		}
	}
	type content struct {
		Content    string `json:"content"`
		LStrip     bool   `json:"lstrip"`
		Normalized bool   `json:"normalized"`
		RStrip     bool   `json:"rstrip"`
		SingleWord bool   `json:"single_word"`
		Special    bool   `json:"special"`
	}
	added := map[string]content{}
	for _, a := range t.added.list {
		added[fmt.Sprint(t.ids[a.Content])] = content{a.Content, a.LStrip, a.Normalized, a.RStrip, a.SingleWord, a.Special}
		if _, named := bertSpecial[a.Content]; a.Special && !named {
			rest = append(rest, a.Content)
		}
	}
	if len(rest) > 0 {
		special["additional_special_tokens"] = rest
	}
	config := map[string]any{
		"tokenizer_class": "BertTokenizer", "do_lower_case": t.opts.Lowercase,
		"model_max_length": longest, "clean_up_tokenization_spaces": t.opts.CleanUpSpaces, "added_tokens_decoder": added,
	}
	maps.Copy(config, special)
	out := map[string][]byte{
		"vocab.txt": []byte(strings.Join(t.tokens[:t.model.GetVocabSize()], "\n") + "\n"),
	}
	var err error
	for name, v := range map[string]any{"tokenizer_config.json": config, "special_tokens_map.json": special} {
		if out[name], err = marshal(v); err != nil {
			return nil, err
		}
	}
	out["tokenizer.json"], err = t.json(t.aroundText(), false) // tokenizer_config.json tells it
	return out, err
}

// aroundText is the part of a tokenizer.json that puts [CLS] and [SEP] around a text, and between two.
func (t *WordPiece) aroundText() any {
	piece := func(kind, id string, number int) any {
		return map[string]any{kind: map[string]any{"id": id, "type_id": number}}
	}
	begin, end := piece("SpecialToken", bertBegin, 0), piece("SpecialToken", bertEnd, 0)
	first := []any{begin, piece("Sequence", "A", 0), end}
	special := map[string]any{}
	for name, id := range map[string]int32{bertBegin: t.begin, bertEnd: t.end} {
		special[name] = map[string]any{"id": name, "ids": []int32{id}, "tokens": []string{name}}
	}
	return map[string]any{
		"type":           "TemplateProcessing",
		"single":         first,
		"pair":           append(first[:3:3], piece("Sequence", "B", 1), piece("SpecialToken", bertEnd, 1)),
		"special_tokens": special,
	}
}
