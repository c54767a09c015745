package train

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"captioner/models/checkpoint"
	"captioner/torch/torchtest"
)

// A captioner begins its captions with the prompt that it was trained with: the one given, or that of the captioner
// which training goes on from.
func TestPromptBecomesTheModelsOwn(t *testing.T) {
	f, err := checkpoint.Open(blipFolder)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Config.Decoding.Opening, f.Config.Decoding.MaxLenOfAll, f.Config.Decoding.MaxLen = "a red", true, 11
	opened := filepath.Join(t.TempDir(), "opened.safetensors")
	if err := f.Export(context.Background(), opened, checkpoint.FormCaptioner, checkpoint.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, init, prompt, want string
		longest                  int
	}{
		{"none", blipFolder, "", "", 20},
		{"given", blipFolder, " a Red ", "a red", 20},
		{"the model's own", opened, "", "a red", 9},
		{"another", opened, "a", "a", 10},
		{"none after all", opened, " ", "", 11},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := DefaultOptions()
			o.Init, o.Prompt = tt.init, tt.prompt
			tr := newTrainer("", o, func(Event) {})
			tr.device = torchtest.Best(t)
			if err := tr.describeInit(); err != nil {
				t.Fatal(err)
			}
			prompt := tr.tok.Encode(tt.want)
			if got := tr.config.Decoding.Opening; got != tt.want || !slices.Equal(tr.prompt, prompt) {
				t.Errorf("got the prompt %q of %v, want %q of %v", got, tr.prompt, tt.want, prompt)
			}
			measured, usual := tr.decoding(1), tr.config.Options(tr.tok)
			if measured.MaxLen != tt.longest || usual.MaxLen != tt.longest || !slices.Equal(measured.Prompt, usual.Prompt) {
				t.Errorf("got %d tokens behind %v in measurements and %d behind %v later, want %d",
					measured.MaxLen, measured.Prompt, usual.MaxLen, usual.Prompt, tt.longest)
			}
		})
	}
}
