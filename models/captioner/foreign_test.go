package captioner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/weights"
	"captioner/weights/safetensors"
)

// A folder whose parts are known is named by what it is as a whole.
func TestForeignFolders(t *testing.T) {
	for _, tt := range []struct {
		name, family string
		config       *strings.Replacer
		more         string // a tensor
		want         string
	}{
		{
			name: "an architecture that has BLIP's vision tower", family: "blip",
			config: strings.NewReplacer(`"BlipForConditionalGeneration"`, `"Blip2ForConditionalGeneration"`,
				`"model_type": "blip",`, `"model_type": "blip-2",`),
			want: `found Blip2ForConditionalGeneration (model_type "blip-2"), want `,
		},
		{
			name: "GIT for videos by its tensors alone", family: "git", config: strings.NewReplacer(),
			more: "git.img_temporal_embedding.0",
			want: "found a GIT for videos of 1 frame (git.img_temporal_embedding.0), want one for images",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, dir := filepath.Join(familiesDir, tt.family), t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "config.json")
			config, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, []byte(tt.config.Replace(string(config))), 0o644)
			}
			if err == nil && tt.more != "" {
				err = addTensor(filepath.Join(from, "model.safetensors"), filepath.Join(dir, "model.safetensors"), tt.more)
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := Open(dir, Options{Device: "cpu"})
			if err == nil {
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q on one line", err, tt.want)
			}
		})
	}
}

// addTensor writes a file again, with one more tensor.
func addTensor(from, to, name string) error {
	src, err := safetensors.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	all, err := weights.All(src)
	if err != nil {
		return err
	}
	all = append(all, weights.NamedTensor{Name: name, DType: weights.F32, Shape: []int64{1}, Data: make([]byte, 4)})
	return safetensors.WriteFile(to, all, nil)
}
