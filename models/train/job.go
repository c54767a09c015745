package train

import (
	"captioner/data/tokenizer"
	"captioner/models/family"
	"captioner/models/train/features"
	"captioner/torch"
)

// job is what all layers of a run share.
type job struct {
	Options
	dir    string
	tell   func(Event)
	device torch.Device
	dtype  torch.DType // of autocast; Float32 for none

	tok    tokenizer.Codec
	config family.Config
	prompt []int32 // the tokens of Prompt
	card   family.Card
	state  state
}

func (j *job) parseDevice() (torch.Device, error) { return j.Group.Device(j.Device) }

func (j *job) showing() features.Showing {
	return features.Showing{Views: j.Views, Flip: j.Flip, CropShare: j.CropShare}
}
