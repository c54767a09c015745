package family

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// settings is a folder with one generation_config.json.
type settings string

func (s settings) Read(name string) ([]byte, error) {
	if name != "generation_config.json" {
		return nil, fs.ErrNotExist
	}
	return []byte(s), nil
}

func TestReadGeneration(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string // want: the Decoding as JSON
	}{
		{"nothing", `{}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false"}`},
		{"lengths count what a text begins with", `{"max_length": 16, "min_length": 5}`,
			`{"beam":1,"length_penalty":1,"max_len":15,"no_repeat_ngram":0,"min_len":4,"early_stopping":"false",` +
				`"max_len_of_all":true,"min_len_of_all":true}`},
		{"new tokens", `{"max_new_tokens": 9, "min_new_tokens": 2}`,
			`{"beam":1,"length_penalty":1,"max_len":9,"no_repeat_ngram":0,"min_len":2,"early_stopping":"false"}`},
		{"bans and penalty", `{"bad_words_ids": [[4, 5]], "suppress_tokens": [7], "repetition_penalty": 1.5}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false",` +
				`"repetition_penalty":1.5,"processors":{"bad_words_ids":[[4,5]],"suppress_tokens":[7]}}`},
		{"forced tokens", `{"forced_bos_token_id": 0, "forced_eos_token_id": [2, 3], "begin_suppress_tokens": [9]}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false",` +
				`"processors":{"forced_bos_token_id":[0],"forced_eos_token_id":[2,3],"begin_suppress_tokens":[9]}}`},
		{"scores", `{"sequence_bias": [[[4, 5], -1.5]], "exponential_decay_length_penalty": [3, 1.5],
			"encoder_repetition_penalty": 1.2, "encoder_no_repeat_ngram_size": 2, "renormalize_logits": true}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false",` +
				`"processors":{"sequence_bias":[{"tokens":[4,5],"add":-1.5}],"encoder_repetition_penalty":1.2,` +
				`"exponential_decay_length_penalty":{"from":3,"factor":1.5},"renormalize_logits":true,` +
				`"encoder_no_repeat_ngram_size":2}}`},
		{"no new tokens at least", `{"min_new_tokens": 0, "min_length": 9}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false"}`},
		{"a shortest caption above the longest", `{"max_length": 5, "min_new_tokens": 8}`,
			`{"beam":1,"length_penalty":1,"max_len":4,"no_repeat_ngram":0,"min_len":4,"early_stopping":"false",` +
				`"max_len_of_all":true}`},
		{"several ends", `{"eos_token_id": [2, 3]}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false","end":2,"ends":[3]}`},
		{"neutral values of what is refused", `{"num_beam_groups": 1, "do_sample": false, "sequence_bias": null}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ReadGeneration(settings(tt.text), 100)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(d); string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// older is a folder of files by their names.
type older map[string]string

func (o older) Read(name string) ([]byte, error) {
	text, ok := o[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

// config.json has a say where there is no generation_config.json, and where that was made of a config.json that
// somebody has changed since.
func TestReadOlderGeneration(t *testing.T) {
	const made = `{"_from_model_config": true, "num_beams": 2, "eos_token_id": 9}`
	bart := Usual{Older: map[string]string{"decoder_start_token_id": "2", "forced_eos_token_id": "7"}}
	for _, tt := range []struct {
		name   string
		files  older
		usual  Usual
		beam   int
		end    int32
		begin  int32 // 0: none
		forced int32 // 0: none
	}{
		{"no generation_config.json", older{"config.json": `{"num_beams": 3, "eos_token_id": 5}`}, Usual{}, 3, 5, 0, 0},
		{"the decoder's section, behind null and the default",
			older{"config.json": `{"num_beams": 1, "eos_token_id": null, "decoder": {"num_beams": 4, "eos_token_id": 6}}`},
			Usual{}, 4, 6, 0, 0},
		{"made of config.json", older{"generation_config.json": made, "config.json": `{"num_beams": 1, "eos_token_id": 5}`},
			Usual{}, 2, 9, 0, 0},
		{"made of config.json, which was changed",
			older{"generation_config.json": made, "config.json": `{"num_beams": 4, "eos_token_id": 5}`}, Usual{}, 4, 5, 0, 0},
		{"not made of config.json",
			older{"generation_config.json": `{"eos_token_id": 9}`, "config.json": `{"num_beams": 4}`}, Usual{}, 1, 9, 0, 0},
		{"defaults of the class", older{"config.json": `{"text_config": {"eos_token_id": 6}}`}, bart, 1, 6, 2, 7},
		{"null in place of one",
			older{"config.json": `{"text_config": {"eos_token_id": 6, "forced_eos_token_id": null}}`}, bart, 1, 6, 2, 0},
		{"none of them beside generation_config.json", older{"generation_config.json": `{"eos_token_id": 9}`},
			bart, 1, 9, 0, 0},
		{"no start token", older{"generation_config.json": `{"eos_token_id": 9, "decoder_start_token_id": 4}`},
			Usual{NoStart: true}, 1, 9, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := tt.usual.ReadGeneration(tt.files, 100)
			if err != nil {
				t.Fatal(err)
			}
			begin, forced := int32(0), int32(0)
			if d.Begin != nil {
				begin = *d.Begin
			}
			if len(d.Processors.ForcedLast) > 0 {
				forced = d.Processors.ForcedLast[0]
			}
			if d.Beam != tt.beam || *d.End != tt.end || begin != tt.begin || forced != tt.forced {
				t.Errorf("got beam %d, end %d, begin %d, forced %d, want %d, %d, %d, %d",
					d.Beam, *d.End, begin, forced, tt.beam, tt.end, tt.begin, tt.forced)
			}
		})
	}
}

// A family's own length holds where no file says one; 20 is a length like any other.
func TestUsualLength(t *testing.T) {
	for text, want := range map[string]int{`{}`: 60, `{"max_length": null}`: 60, `{"max_length": 20}`: 20,
		`{"max_length": 30}`: 29, `{"max_new_tokens": 7}`: 7} {
		d, err := Usual{Length: 60}.ReadGeneration(settings(text), 100)
		if err != nil || d.MaxLen != want {
			t.Errorf("%s: got %d, %v, want %d", text, d.MaxLen, err, want)
		}
	}
}

func TestReadGenerationNamesWrongTypes(t *testing.T) {
	for text, want := range map[string]string{
		`{"num_beams": "3"}`:            `found num_beams "3", want a whole number`,
		`{"num_beams": 2.5}`:            `found num_beams 2.5, want a whole number`,
		`{"length_penalty": [1]}`:       `found length_penalty [1], want a number`,
		`{"renormalize_logits": "yes"}`: `found renormalize_logits "yes", want true or false`,
		`{"suppress_tokens": 4}`:        `found suppress_tokens 4, want a list`,
		`{"eos_token_id": "end"}`:       `found the tokens "end", want one or more numbers`,
	} {
		_, err := ReadGeneration(settings(text), 100)
		if want = "read generation_config.json: " + want; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestReadGenerationRefusesByName(t *testing.T) {
	for name, value := range map[string]string{
		"do_sample": "true", "num_beam_groups": "3", "guidance_scale": "1.5", "penalty_alpha": "0.6",
		"force_words_ids": "[[4]]", "forced_decoder_ids": "[[1,4]]", "num_return_sequences": "2",
		"cache_implementation": `"quantized"`,
	} {
		_, err := ReadGeneration(settings(fmt.Sprintf(`{%q: %s}`, name, value)), 100)
		var unsupported *UnsupportedSettingError
		if !errors.As(err, &unsupported) || unsupported.Name != name || unsupported.Value != value {
			t.Errorf("%s %s: got %v, want an UnsupportedSettingError of it", name, value, err)
		}
	}
}
