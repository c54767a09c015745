package family

import (
	"encoding/json"
	"maps"
	"reflect"

	"captioner/models/encoder"
)

// legacy are settings of generate in a config.json, where older folders have them: those at its top, and those of the
// section of its decoder, which count where the top says nothing else than the default.
type legacy struct{ top, decoder map[string]json.RawMessage }

// legacyDefaults are the settings of generate that every config.json may have, and what each is where none says
// (PretrainedConfig._get_global_generation_defaults, transformers v4.57.1).
var legacyDefaults = map[string]any{
	"max_length": 20.0, "min_length": 0.0, "do_sample": false, "early_stopping": false, "num_beams": 1.0,
	"temperature": 1.0, "top_k": 50.0, "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0,
	"length_penalty": 1.0, "no_repeat_ngram_size": 0.0, "encoder_no_repeat_ngram_size": 0.0, "bad_words_ids": nil,
	"num_return_sequences": 1.0, "output_scores": false, "return_dict_in_generate": false,
	"forced_bos_token_id": nil, "forced_eos_token_id": nil, "remove_invalid_values": false,
	"exponential_decay_length_penalty": nil, "suppress_tokens": nil, "begin_suppress_tokens": nil,
	"num_beam_groups": 1.0, "diversity_penalty": 0.0,
}

// readLegacy reads config.json.
func readLegacy(beside encoder.Folder) (l legacy, err error) {
	var sections struct {
		Decoder map[string]json.RawMessage `json:"decoder"`
		Text    map[string]json.RawMessage `json:"text_config"`
	}
	if err = encoder.ReadJSON(beside, "config.json", &sections); err == nil {
		err = encoder.ReadJSON(beside, "config.json", &l.top)
	}
	if l.decoder = sections.Decoder; l.decoder == nil {
		l.decoder = sections.Text
	}
	return l, err
}

// replaces says whether generate reads l although there is a generation_config.json: where that was made of a
// config.json by a program, and somebody has changed a setting of config.json.
func (l legacy) replaces(settings map[string]json.RawMessage) bool {
	if encoder.Spell(settings["_from_model_config"]) != "true" {
		return false
	}
	for name, usual := range legacyDefaults {
		if value, ok := said(l.top[name]); ok && !reflect.DeepEqual(value, usual) {
			return true
		}
	}
	return false
}

// merged are the settings of both places, with the defaults that the decoder's class has.
func (l legacy) merged(defaults map[string]string) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	decoder := map[string]json.RawMessage{}
	for name, text := range defaults {
		decoder[name] = json.RawMessage(text)
	}
	maps.Copy(decoder, l.decoder)
	for name, raw := range l.top {
		if _, ok := said(raw); ok {
			all[name] = raw
		}
	}
	for name, raw := range decoder {
		value, ok := said(all[name])
		usual, general := legacyDefaults[name]
		if !ok || general && reflect.DeepEqual(value, usual) {
			all[name] = raw
		}
	}
	return all
}

// said gives a setting that is there and is not null.
func said(raw json.RawMessage) (value any, ok bool) {
	err := json.Unmarshal(raw, &value)
	return value, err == nil && value != nil
}
