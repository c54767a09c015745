package captioner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"captioner/data/image"
	"captioner/models/decode"
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
	switch {
	case p.Eye.CLIP != nil:
		if err := e.apply(p.Eye.CLIP); err != nil {
			return nil, fmt.Errorf("read config.json: encoder: %w", err)
		}
	case p.Eye.ViT != nil:
		if err := configureViT(p.Eye.ViT, config); err != nil {
			return nil, fmt.Errorf("read config.json: encoder: %w", err)
		}
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

// faceProcessor reads what the folder's preprocessor does to pictures: both sides brought to the encoder's size, or the shorter one and the middle
// cut out, by bicubic or bilinear, then numbers from mean and deviation. What is not told is e's own; anything else is refused.
func faceProcessor(dir string, e *Eye) error {
	c := struct {
		Resize   *bool           `json:"do_resize"`
		Size     json.RawMessage `json:"size"`
		Resample *int            `json:"resample"`
		Crop     *bool           `json:"do_center_crop"`
		CropSize json.RawMessage `json:"crop_size"`
		Rescale  *bool           `json:"do_rescale"`
		Factor   float64         `json:"rescale_factor"`
		Normal   *bool           `json:"do_normalize"`
		Mean     []float64       `json:"image_mean"`
		Std      []float64       `json:"image_std"`
	}{Factor: 1. / 255}
	path := filepath.Join(dir, "preprocessor_config.json")
	if err := readJSON(path, &c); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("read preprocessor_config.json: "+format, args...)
	}
	no := func(b *bool) bool { return b != nil && !*b }
	if no(c.Resize) || no(c.Rescale) || math.Abs(c.Factor*255-1) > 1e-3 {
		return bad("found do_resize or do_rescale false, or a rescale_factor of %g, want pictures that are resized, and 1/255", c.Factor)
	}
	crop := e.CLIP != nil // what its processor does unless it is told not to
	if c.Crop != nil {
		crop = *c.Crop
	}
	whole, side, err := faceSize(c.Size)
	_, middle, err2 := faceSize(c.CropSize)
	if err := errors.Join(err, err2); err != nil {
		return bad("%w", oneLine(err))
	}
	want := e.Preprocess.Size
	switch {
	case side != 0 && side != want || crop && middle != 0 && middle != want:
		return bad("found size %s and crop_size %s, want the encoder's %d pixels", spelled(c.Size), spelled(c.CropSize), want)
	case crop:
		e.Preprocess.Fit = image.FitCrop
	case side != 0 && !whole:
		return bad("found size %s without a crop, want a square", spelled(c.Size))
	default:
		e.Preprocess.Fit = image.FitSquash
	}
	if c.Resample != nil {
		filter, ok := map[int]string{2: image.FilterLinear, 3: ""}[*c.Resample]
		if !ok {
			return bad("found resample %d, want 2 (bilinear) or 3 (bicubic)", *c.Resample)
		}
		e.Preprocess.Filter = filter
	}
	if no(c.Normal) {
		c.Mean, c.Std = []float64{0, 0, 0}, []float64{1, 1, 1}
	}
	e.normalise(c.Mean, c.Std)
	return nil
}

// faceSize reads a size in any of its spellings: 224, {"height": 224, "width": 224}, {"shortest_edge": 224}; 0 where there is none. whole says that
// both sides are meant, where the spelling tells.
func faceSize(raw json.RawMessage) (whole bool, side int, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return false, 0, nil
	}
	if json.Unmarshal(raw, &side) == nil {
		return true, side, nil
	}
	var named map[string]int
	if err := json.Unmarshal(raw, &named); err != nil {
		return false, 0, err
	}
	switch height, shortest := named["height"], named["shortest_edge"]; {
	case len(named) == 2 && height > 0 && height == named["width"]:
		return true, height, nil
	case len(named) == 1 && shortest > 0:
		return false, shortest, nil
	}
	return false, 0, fmt.Errorf("found %s, want a square or a shortest edge", spelled(raw))
}

// spelled is JSON on one line.
func spelled(raw json.RawMessage) string {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil {
		return "none"
	}
	return b.String()
}

// faceGeneration are the settings of generate that matter here.
type faceGeneration struct {
	Beams         int             `json:"num_beams"`
	MaxLength     int             `json:"max_length"`
	MaxNew        int             `json:"max_new_tokens"`
	MinLength     int             `json:"min_length"`
	Penalty       float64         `json:"length_penalty"`
	NoRepeat      int             `json:"no_repeat_ngram_size"`
	EarlyStopping json.RawMessage `json:"early_stopping"`
	Start         *int32          `json:"decoder_start_token_id"`
	Begin         *int32          `json:"bos_token_id"`
	End           json.RawMessage `json:"eos_token_id"`

	Sample     bool    `json:"do_sample"`
	Groups     int     `json:"num_beam_groups"`
	Repetition float64 `json:"repetition_penalty"`
}

// faceDecoding is how the model is generated from where nobody says otherwise: the settings of generation_config.json, or, in older folders, those
// of config.json and, for what these leave out, of the decoder inside.
func faceDecoding(dir string, positions int64) (Decoding, error) {
	g := faceGeneration{Beams: 1, MaxLength: 20, Penalty: 1, Groups: 1, Repetition: 1}
	name := "generation_config.json"
	err := readJSON(filepath.Join(dir, name), &g)
	if errors.Is(err, os.ErrNotExist) {
		name = "config.json"
		old := struct {
			Decoder *faceGeneration `json:"decoder"`
		}{&g}
		if err = readJSON(filepath.Join(dir, name), &old); err == nil {
			err = readJSON(filepath.Join(dir, name), &g)
		}
	}
	if err != nil {
		return Decoding{}, err
	}
	d, err := g.decoding(int(positions))
	if err != nil {
		return d, fmt.Errorf("read %s: %w", name, err)
	}
	return d, nil
}

// decoding says the same in our words. Lengths there count the begin token.
func (g faceGeneration) decoding(positions int) (Decoding, error) {
	if g.Sample || g.Groups > 1 || g.Repetition != 1 {
		return Decoding{}, fmt.Errorf("found do_sample %v, num_beam_groups %d and repetition_penalty %g, want a search without any: take them out of the file for it",
			g.Sample, g.Groups, g.Repetition)
	}
	d := Decoding{Beam: max(g.Beams, 1), LengthPenalty: g.Penalty, NoRepeatNGram: max(g.NoRepeat, 0), MaxLen: g.MaxLength - 1, MinLen: max(g.MinLength-1, 0),
		Begin: g.Begin}
	if g.MaxNew > 0 {
		d.MaxLen = g.MaxNew
	}
	d.MaxLen = min(max(d.MaxLen, 1), positions)
	if d.MinLen >= d.MaxLen {
		return d, fmt.Errorf("found min_length %d, want less than the %d tokens of the longest caption", g.MinLength, d.MaxLen)
	}
	if g.Start != nil {
		d.Begin = g.Start
	}
	if len(g.End) > 0 && string(g.End) != "null" {
		var one int32
		var several []int32
		switch {
		case json.Unmarshal(g.End, &one) == nil:
		case json.Unmarshal(g.End, &several) == nil && len(several) == 1:
			one = several[0]
		default:
			return d, fmt.Errorf("found the end tokens %s, want one", spelled(g.End))
		}
		d.End = &one
	}
	switch stop := strings.Trim(string(g.EarlyStopping), `"`); stop {
	case "", "null", decode.StopFalse:
		d.EarlyStopping = decode.StopFalse
	case decode.StopTrue, decode.StopNever:
		d.EarlyStopping = stop
	default:
		return d, fmt.Errorf("found early_stopping %s, want false, true or \"never\"", spelled(g.EarlyStopping))
	}
	return d, nil
}
