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
			`{"beam":1,"length_penalty":1,"max_len":15,"no_repeat_ngram":0,"min_len":4,"early_stopping":"false"}`},
		{"new tokens", `{"max_new_tokens": 9, "min_new_tokens": 2}`,
			`{"beam":1,"length_penalty":1,"max_len":9,"no_repeat_ngram":0,"min_len":2,"early_stopping":"false"}`},
		{"bans and penalty", `{"bad_words_ids": [[4, 5]], "suppress_tokens": [7], "repetition_penalty": 1.5}`,
			`{"beam":1,"length_penalty":1,"max_len":20,"no_repeat_ngram":0,"early_stopping":"false",` +
				`"ban":[[4,5],[7]],"repetition_penalty":1.5}`},
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

func TestReadGenerationRefusesByName(t *testing.T) {
	for name, value := range map[string]string{
		"do_sample": "true", "num_beam_groups": "3", "forced_bos_token_id": "0", "forced_eos_token_id": "2",
		"exponential_decay_length_penalty": "[5,1.1]", "sequence_bias": "[[[4],-10.0]]", "guidance_scale": "1.5",
		"begin_suppress_tokens": "[220]", "penalty_alpha": "0.6",
	} {
		_, err := ReadGeneration(settings(fmt.Sprintf(`{%q: %s}`, name, value)), 100)
		var unsupported *UnsupportedSettingError
		if !errors.As(err, &unsupported) || unsupported.Name != name || unsupported.Value != value {
			t.Errorf("%s %s: got %v, want an UnsupportedSettingError of it", name, value, err)
		}
	}
}
