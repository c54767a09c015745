package ollama

import (
	"strings"
	"time"

	"captioner/cli/server/chat"
)

// Model is the model that is served.
type Model struct {
	Name     string // without a tag
	Digest   string // SHA-256, in hexadecimal digits
	Licence  string
	Modified time.Time
}

// Tag is how Ollama writes a name that has no tag.
const Tag = ":latest"

type details struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

var captioner = details{Format: "safetensors", Family: "captioner", Families: []string{"captioner"}}

// Tags is the answer to /api/tags.
func Tags(all ...Model) any {
	type entry struct {
		Name       string    `json:"name"`
		Model      string    `json:"model"`
		ModifiedAt time.Time `json:"modified_at"`
		Size       int64     `json:"size"`
		Digest     string    `json:"digest"`
		Details    details   `json:"details"`
	}
	var entries []entry
	for _, m := range all {
		entries = append(entries, entry{
			Name: m.Name + Tag, Model: m.Name + Tag, ModifiedAt: m.Modified.UTC(), Digest: m.Digest, Details: captioner,
		})
	}
	return struct {
		Models []entry `json:"models"`
	}{entries}
}

// ShowRequest reads a request of /api/show and returns the model's name.
func ShowRequest(body []byte) (string, error) {
	var q struct {
		Model string `json:"model"`
		Name  string `json:"name"` // as older clients call it
	}
	if err := decode(body, &q); err != nil {
		return "", err
	}
	if q.Model == "" {
		q.Model = q.Name
	}
	if strings.TrimSpace(q.Model) == "" {
		return "", chat.Errorf("model", "found no model's name")
	}
	return q.Model, nil
}

// Show is the answer to /api/show.
func Show(m Model) any {
	return struct {
		License      string         `json:"license"`
		Modelfile    string         `json:"modelfile"`
		Parameters   string         `json:"parameters"`
		Template     string         `json:"template"`
		Details      details        `json:"details"`
		ModelInfo    map[string]any `json:"model_info"`
		Capabilities []string       `json:"capabilities"`
		ModifiedAt   time.Time      `json:"modified_at"`
	}{
		License: m.Licence, Details: captioner, ModelInfo: map[string]any{"general.architecture": "captioner"},
		Capabilities: []string{"completion", "vision"}, ModifiedAt: m.Modified.UTC(),
	}
}

// Version is the answer to /api/version.
func Version(version string) any {
	return struct {
		Version string `json:"version"`
	}{version}
}
