package train

import (
	"captioner/data/tokenizer"
	"captioner/models/family"
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
	card   family.Card
	state  state
}

func (j *job) parseDevice() (torch.Device, error) { return j.Group.Device(j.Device) }
