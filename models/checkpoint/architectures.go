package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"

	"captioner/models/beit"
	"captioner/models/blip"
	"captioner/models/clip"
	"captioner/models/clipcap"
	"captioner/models/clipdecoder10"
	"captioner/models/coca"
	"captioner/models/davit"
	"captioner/models/dinov2"
	"captioner/models/efficientnet"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/florence2"
	"captioner/models/git"
	"captioner/models/siglip"
	"captioner/models/swin"
	"captioner/models/vit"
	"captioner/weights"
	"captioner/weights/formats"
)

// Architectures is what files of captioners may hold: one row for each vision encoder, and one for each whole
// captioner.
type Architectures struct {
	Encoders   encoder.Table
	Captioners []family.Family

	Heads *encoder.Heads // what the user says of heads, for checkpoints that do not say them; nil is nothing
}

// Known is the table of this program: to add an encoder or a captioner, add a row. Rows are asked from the top whether
// a checkpoint is theirs.
func Known() Architectures {
	return Architectures{
		Encoders: encoder.Table{
			blip.Architecture(),
			siglip.Architecture(),
			clip.Architecture(),
			efficientnet.Architecture(),
			dinov2.Architecture(),
			beit.Architecture(),
			vit.Architecture(),
			davit.Architecture(),
			swin.Architecture(),
		},
		Captioners: []family.Family{
			clipdecoder10.Family(),
			blip.Family(),
			git.Family(),
			florence2.Family(),
			clipcap.Family(),
			coca.Family(),
			gpt2Family(),
		},
	}
}

// OrKnown is what a points to, and the table of this program where that is nothing.
func (a *Architectures) OrKnown() Architectures {
	if a != nil {
		return *a
	}
	return Known()
}

// name is the family of a decoder, for people.
func (a Architectures) name(d family.Decoder) string {
	for _, f := range a.Captioners {
		if f.Key == d.Key() {
			return f.Name
		}
	}
	return d.Key()
}

// Open reads the description of a captioner, by what the file holds and not by its name: captioner's own model file, or
// a checkpoint of a family, in a file or in a folder of Hugging Face. Weights are read when they are loaded.
//
// The folder of a training run stands for the best model in it.
func (a Architectures) Open(path string) (*Checkpoint, error) {
	path = modelOf(path)
	if err := foreignPath(path); err != nil {
		return nil, &Error{Doing: "open model", Path: path, Err: err}
	}
	src, err := formats.Open(path)
	if err != nil {
		return nil, &Error{Doing: "open model", Path: path, Err: err, named: true}
	}
	if err := foreignMeta(path, src.Metadata()); err != nil {
		src.Close()
		return nil, &Error{Doing: "open model", Path: path, Err: err}
	}
	c, err := a.describe(path, src)
	if err == nil {
		err = a.agree(c)
	}
	if err != nil {
		src.Close()
		return nil, &Error{Doing: "open model", Path: path, Err: err}
	}
	if remark := adapterRemark(path); remark != "" {
		c.remarks = append(c.remarks, remark)
	}
	return c, nil
}

// agree holds what the user says of heads to what the files have said.
func (a Architectures) agree(c *Checkpoint) error {
	if err := agree(a.Heads, encoder.DecoderPart, c.Config.Decoder); err != nil || !c.HasEncoder() {
		return err
	}
	return agree(a.Heads, encoder.EncoderPart, c.Config.Encoder.Encoder)
}

// agree is for one part, whose number is settled.
func agree(h *encoder.Heads, p encoder.Part, sizes any) error {
	known, ok := sizes.(encoder.Headed)
	if !ok {
		return nil
	}
	n, width := known.HeadCount()
	_, err := h.Choose(p, width, n, 0)
	return err
}

// describe finds out what src holds. The checkpoint owns src.
func (a Architectures) describe(path string, src weights.Source) (*Checkpoint, error) {
	if src.Metadata()[weights.MetaConfig] != "" {
		return a.native(path, src)
	}
	files := filesOf(path, src)
	if files.Encoders, files.Heads = a.Encoders, a.Heads; files.Folder {
		if err := readConfig(&files); err != nil {
			return nil, err
		}
		if _, err := files.Beside.Read(describedFile); err == nil {
			return a.described(files)
		}
	}
	if err := foreign(files); err != nil {
		return nil, err
	}
	for _, f := range a.Captioners {
		if f.Open == nil || !f.Recognize(files) {
			continue
		}
		c, err := f.Open(files)
		if err != nil {
			return nil, err
		}
		return &Checkpoint{
			Path: files.Path, Config: c.Config, Card: c.Card, Tokenizer: c.Tokenizer, Family: f.Name,
			src: c.Source, mismatch: c.Mismatch,
		}, nil
	}
	return nil, a.notCaptioner(files)
}

// readConfig reads what config.json says of the network, or what stands for it in a folder of open_clip.
func readConfig(f *family.Files) error {
	var c struct {
		ModelType     string   `json:"model_type"`
		Architectures []string `json:"architectures"`
	}
	err := encoder.ReadJSON(f.Beside, "config.json", &c)
	if errors.Is(err, fs.ErrNotExist) {
		var d described
		if d, err = describe(f.Beside); errors.Is(err, fs.ErrNotExist) {
			const want = "want it beside the weights, as save_pretrained writes it"
			return errors.New("found a folder without config.json, " + want)
		}
		c.ModelType = d.modelType
	}
	f.ModelType, f.Architectures = c.ModelType, c.Architectures
	return err
}

// ErrNotCaptioner says that a file holds tensors but no captioner.
var ErrNotCaptioner = errors.New("found tensors but no " + weights.MetaConfig +
	" in the metadata, want a captioner's model file")

// notCaptioner says what a checkpoint is that no family claims.
func (a Architectures) notCaptioner(f family.Files) error {
	var unknown *encoder.HeadsUnknownError
	d := described{modelType: f.ModelType, names: f.Architectures}
	err := &UnknownArchitectureError{Found: d.String(), Known: a.known(AsCaptioner), Use: AsCaptioner}
	if f.ModelType != "" && !a.Encoders.Knows(f.ModelType) && !a.Captions(f.ModelType) {
		return err // whatever parts of it are known
	}
	if p, err := a.recognize(f.Path, f.Source); err == nil {
		return aloneError("the encoder " + p.Config.Architecture)
	} else if errors.As(err, &unknown) {
		return aloneError("an encoder")
	}
	switch {
	case f.Folder:
		return err
	case isPickle(f.Source):
		const found = "found %d tensors without GPT-2 among them (no wte.weight), want a captioner's model"
		return fmt.Errorf(found, len(f.Source.Names()))
	}
	return ErrNotCaptioner
}

// Open is Known().Open.
func Open(path string) (*Checkpoint, error) { return Known().Open(path) }

// Parse is Known().Parse.
func Parse(b []byte) (*Checkpoint, error) { return Known().Parse(b) }

// OpenEncoder is Known().OpenEncoder.
func OpenEncoder(path string) (*Pretrained, error) { return Known().OpenEncoder(path) }
