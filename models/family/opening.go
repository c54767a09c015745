package family

import "captioner/models/encoder"

// captioning is transformers' name for what captioners do.
const captioning = "image-to-text"

// taskSettings is the part of a config.json that says with which text a model writes for a task. A caption of
// transformers' own generate begins with it where the caller hands it over as text.
type taskSettings map[string]struct {
	Prefix string `json:"prefix,omitempty"`
}

// SetOpening says in a config.json with which prompt captions begin; "" is none.
func SetOpening(config map[string]any, opening string) {
	if opening != "" {
		config["task_specific_params"] = taskSettings{captioning: {Prefix: opening}}
	}
}

// ReadOpening is what SetOpening has written.
func ReadOpening(beside encoder.Folder) (string, error) {
	var config struct {
		Tasks taskSettings `json:"task_specific_params"`
	}
	err := encoder.ReadOptional(beside, "config.json", &config)
	return config.Tasks[captioning].Prefix, err
}
