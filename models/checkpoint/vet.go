package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/kinds"
	"captioner/weights/plural"
)

// Use is what a checkpoint is wanted for.
type Use string

// What checkpoints are wanted for.
const (
	AnyUse        Use = ""
	AsCaptioner   Use = "a captioner"
	AsLearner     Use = "a captioner to train on from"
	AsEncoder     Use = "a vision encoder"
	AsLanguage    Use = "a language model"
	AsCLIP        Use = "a CLIP with both towers"
	openCLIPModel     = "open_clip"
	cocaModel         = "coca"
)

// An UnknownArchitectureError says that a checkpoint is of an architecture that is not in the table, or of none that
// can be used for what it is wanted for.
type UnknownArchitectureError struct {
	Found string   // "LlavaForConditionalGeneration (model_type llava)"
	Known []string // what is read instead: "BLIP (BlipForConditionalGeneration)"
	Use   Use
}

func (e *UnknownArchitectureError) Error() string {
	return fmt.Sprintf("found %s, want %s", e.Found, plural.Or(e.Known))
}

// Hint says where to find another.
func (e *UnknownArchitectureError) Hint() string {
	if e.Use == AsCaptioner || e.Use == AnyUse {
		return "\"captioner weights list\" begins with captioners that work"
	}
	return "\"captioner weights list\" has names that work"
}

// described is what the description of a checkpoint calls it.
type described struct {
	modelType string   // of config.json, or open_clip or coca
	names     []string // of classes
	inner     string   // of an OpenCLIP whose vision tower is of timm: its name there
}

func (d described) String() string {
	names := strings.Join(d.names, ", ")
	switch {
	case d.inner != "":
		return fmt.Sprintf("an OpenCLIP model whose vision tower is timm's %s", d.inner)
	case d.modelType == "":
		return names + " without a model_type"
	case names == "":
		return fmt.Sprintf("model_type %q", d.modelType)
	}
	return fmt.Sprintf("%s (model_type %q)", names, d.modelType)
}

// Vet says what is against a checkpoint before its weights are there: by the descriptions in its folder, and by the
// names of the files that it has. What it does not refuse may still be refused when it is opened.
//
// Errors are *ForeignError for what is no model for captions, *UnknownArchitectureError, and *NotTrainableError.
func (a Architectures) Vet(use Use, beside encoder.Folder, files []string) error {
	if use == AsLearner {
		if err := a.Vet(AsCaptioner, beside, files); err != nil {
			return err
		}
		return a.vetLearner(beside)
	}
	if err := (kinds.Evidence{Files: files, Method: kinds.Quantization(beside)}).Judge(); err != nil {
		return err
	}
	if _, err := beside.Read(describedFile); err == nil {
		return nil // captioner's own folder
	}
	d, err := describe(beside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing describes it: opening finds out what it is
	}
	if err != nil {
		return err
	}
	if err := a.Encoders.Kin(d.modelType, nil); err != nil {
		return err
	}
	captioners := a.claims(d)
	switch use {
	case AsLanguage:
		if d.modelType != "gpt2" {
			return &UnknownArchitectureError{Found: d.String(), Known: []string{"GPT-2 (GPT2LMHeadModel)"}, Use: use}
		}
		return nil
	case AsCLIP:
		if d.modelType != "clip" && d.modelType != openCLIPModel {
			return &UnknownArchitectureError{Found: d.String(), Known: []string{"CLIP (CLIPModel)", "OpenCLIP"}, Use: use}
		}
		return nil
	}
	if a.Encoders.Knows(d.modelType) && d.inner == "" && (use != AsCaptioner || len(captioners) == 0) {
		if use == AsCaptioner {
			return aloneError("the encoder " + d.String())
		}
		return nil
	}
	return a.vetCaptioner(use, d, captioners, beside)
}

// vetLearner refuses a captioner of a family that training does not go on from.
func (a Architectures) vetLearner(beside encoder.Folder) error {
	d, err := describe(beside)
	if err != nil {
		return nil // nothing describes it: opening finds out what it is
	}
	claims := a.claims(d)
	if len(claims) == 0 || slices.ContainsFunc(claims, family.Family.Trains) {
		return nil
	}
	return &NotTrainableError{claims[0].Name, a.trainable()}
}

// aloneError says that a checkpoint holds an encoder and nothing that writes.
func aloneError(encoder string) error {
	return &ForeignError{
		Found: encoder + " alone", Want: "a captioner's model",
		Remedy: "--encoder takes it; \"captioner weights list\" begins with captioners",
	}
}

// claims are the families whose checkpoints have this model_type.
func (a Architectures) claims(d described) []family.Family {
	var all []family.Family
	for _, f := range a.Captioners {
		if slices.ContainsFunc(classesOf(f), func(c encoder.Class) bool { return c.ModelType == d.modelType }) {
			all = append(all, f)
		}
	}
	return all
}

// classesOf are the classes that a family opens.
func classesOf(f family.Family) []encoder.Class {
	if f.Classes != nil || f.Open == nil {
		return f.Classes
	}
	return []encoder.Class{{ModelType: f.Key}}
}

// vetCaptioner asks the families that claim a checkpoint.
func (a Architectures) vetCaptioner(use Use, d described, claims []family.Family, beside encoder.Folder) error {
	for _, f := range claims {
		files := family.Files{Beside: beside, Folder: true, Encoders: a.Encoders, ModelType: d.modelType,
			Architectures: d.names}
		if f.Vet != nil && (use == AsCaptioner || d.modelType != "gpt2") {
			if err := f.Vet(files); err != nil {
				return err
			}
		}
		for _, c := range classesOf(f) {
			if c.ModelType == d.modelType && (len(c.Names) == 0 || len(d.names) == 0 ||
				slices.ContainsFunc(d.names, func(n string) bool { return slices.Contains(c.Names, n) })) {
				if use == AsCaptioner && len(f.TokenizerFiles) > 0 {
					return encoder.VetTokenizer(beside, f.TokenizerFiles...)
				}
				return nil
			}
		}
	}
	return &UnknownArchitectureError{Found: d.String(), Known: a.known(use), Use: use}
}

// Captions says whether captioners of this model_type are read.
func (a Architectures) Captions(modelType string) bool {
	return len(a.claims(described{modelType: modelType})) > 0
}

// known lists what is read.
func (a Architectures) known(use Use) []string {
	var all []string
	for _, f := range a.Captioners {
		var names []string
		for _, c := range classesOf(f) {
			names = append(names, c.Names...)
			if len(c.Names) == 0 {
				names = append(names, c.ModelType)
			}
		}
		if len(names) > 0 {
			all = append(all, fmt.Sprintf("%s (%s)", f.Name, strings.Join(names, ", ")))
		}
	}
	if use != AsCaptioner {
		all = append(all, "an encoder of "+a.Encoders.Names())
	}
	return all
}

// describe reads what the description of a checkpoint calls it; fs.ErrNotExist where there is none.
func describe(beside encoder.Folder) (described, error) {
	var c struct {
		ModelType     string   `json:"model_type"`
		Architectures []string `json:"architectures"`
	}
	err := encoder.ReadJSON(beside, "config.json", &c)
	if err == nil && (c.ModelType != "" || len(c.Architectures) > 0) {
		return described{modelType: c.ModelType, names: c.Architectures}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return described{}, err
	}
	var open struct {
		Model struct {
			Text   map[string]any `json:"multimodal_cfg"`
			Vision struct {
				Timm string `json:"timm_model_name"`
			} `json:"vision_cfg"`
		} `json:"model_cfg"`
	}
	if err := encoder.ReadJSON(beside, "open_clip_config.json", &open); err != nil {
		return described{}, err
	}
	d := described{modelType: openCLIPModel, inner: open.Model.Vision.Timm}
	if open.Model.Text != nil {
		d.modelType = cocaModel
	}
	return d, nil
}
