package captioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/models/gpt2"
	"captioner/weights"
)

// openEncoderDecoder makes a captioner of a VisionEncoderDecoderModel: its encoder's last_hidden_state, through enc_to_dec_proj where the widths
// differ, is the decoder's memory. f owns src.
func openEncoderDecoder(dir string, src weights.Source, c folderConfig) (*File, error) {
	d, err := gpt2.ParseConfig(c.Decoder)
	if err != nil {
		return nil, fmt.Errorf("read config.json: decoder: %w", err)
	}
	f := &File{Path: dir, Config: Config{Name: filepath.Base(filepath.Clean(dir)), Decoder: d}}
	f.Card = Card{Name: f.Config.Name, Data: "not told by the checkpoint", Licence: "not told by the checkpoint"}
	if err := f.takeDecoder(dir, src); err != nil {
		return nil, err
	}
	eye, err := f.faceEye(dir, src, c.Encoder)
	if err != nil {
		return nil, err
	}
	if f.Config.Decoding, err = faceDecoding(dir, d.Positions); err != nil {
		return nil, err
	}
	memory, err := weights.Rename(src, weights.Prefix("enc_to_dec_proj.", "memory.project."))
	if err != nil {
		return nil, err
	}
	if f.src, err = weights.Join(f.src, memory, eye); err != nil {
		return nil, err
	}
	return f, f.Config.Validate()
}

// faceEye describes the encoder inside a VisionEncoderDecoderModel and shows its tensors as a model file has them.
func (f *File) faceEye(dir string, src weights.Source, config json.RawMessage) (weights.Source, error) {
	var e struct {
		ModelType string `json:"model_type"`
		faceVision
	}
	if err := json.Unmarshal(config, &e); err != nil {
		return nil, fmt.Errorf("read config.json: encoder: %w", err)
	}
	inner, err := weights.Rename(src, weights.Prefix("encoder.", ""))
	if err != nil {
		return nil, err
	}
	p, err := recognise(dir, inner)
	if err != nil {
		return nil, fmt.Errorf("read config.json: encoder of the type %q: %w", e.ModelType, err)
	}
	if p.Eye.CLIP != nil {
		e.apply(p.Eye.CLIP)
	}
	if err := faceProcessor(dir, &p.Eye); err != nil {
		return nil, err
	}
	f.Config.Encoder, f.Card.Encoder = p.Eye, p.Eye.Architecture
	if f.Config.Memory, err = NewMemory(p.Eye, Tokens, 0); err != nil {
		return nil, err
	}
	return p.src, nil
}

// faceProcessor reads what the folder's preprocessor does to pictures, as far as it is of a kind that is known: a square of the encoder's size, by
// squashing or by the crop of its middle.
func faceProcessor(dir string, e *Eye) error {
	var c struct {
		Mean []float64 `json:"image_mean"`
		Std  []float64 `json:"image_std"`
	}
	if err := readJSON(filepath.Join(dir, "preprocessor_config.json"), &c); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	e.normalise(c.Mean, c.Std)
	return nil
}

// faceDecoding is how the model is generated from where nobody says otherwise: the settings of generation_config.json, or those of config.json in
// older folders.
func faceDecoding(dir string, positions int64) (Decoding, error) {
	g := struct {
		Beams     int     `json:"num_beams"`
		MaxLength int     `json:"max_length"`
		Penalty   float64 `json:"length_penalty"`
		NoRepeat  int     `json:"no_repeat_ngram_size"`
	}{Beams: 1, MaxLength: 20, Penalty: 1}
	for _, name := range []string{"config.json", "generation_config.json"} {
		if err := readJSON(filepath.Join(dir, name), &g); err != nil && !(errors.Is(err, os.ErrNotExist) && strings.HasPrefix(name, "generation")) {
			return Decoding{}, err
		}
	}
	d := Decoding{Beam: max(g.Beams, 1), LengthPenalty: g.Penalty, NoRepeatNGram: max(g.NoRepeat, 0)}
	d.MaxLen = min(max(g.MaxLength-1, 1), int(positions)) // the begin token counts there
	return d, nil
}
