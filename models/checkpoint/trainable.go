package checkpoint

import (
	"fmt"
	"strings"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// A NotTrainableError says that training does not go on from captioners of a family.
type NotTrainableError struct {
	Family string
	Known  []string // the families that it goes on from
}

func (e *NotTrainableError) Error() string {
	const found = "found a captioner of %s, and training on from that family is not supported, want one of %s"
	return fmt.Sprintf(found, e.Family, strings.Join(e.Known, " or "))
}

// Hint says what it is good for.
func (e *NotTrainableError) Hint() string { return "predict, eval and serve take it as it is" }

// Trainable is the decoder of a captioner that training goes on from. Else the error is a *NotTrainableError.
func (a Architectures) Trainable(c *Checkpoint) (family.Trainable, error) {
	if d, ok := c.Config.Decoder.(family.Trainable); ok {
		return d, nil
	}
	return nil, &NotTrainableError{c.Family, a.trainable()}
}

// trainable names the families that training goes on from.
func (a Architectures) trainable() (names []string) {
	for _, f := range a.Captioners {
		if f.Trains() {
			names = append(names, f.Name)
		}
	}
	return names
}

// LoadLearner loads memory and decoder for training. own gives them memory that training may change. It works inside
// torch.Do.
func (c *Checkpoint) LoadLearner(dev torch.Device, own bool) (family.Learner, error) {
	d, err := Known().Trainable(c)
	var m family.Learner
	if err == nil {
		o := nn.LoadOptions{Device: dev, Own: own, Ignore: encoder.Owns}
		err = c.used(c.src, func(src weights.Source) (err error) {
			m, err = d.LoadLearner(src, c.Config.Memory, o)
			return err
		})
	}
	if err != nil {
		return nil, &Error{Doing: "load model", Path: c.Path, Err: err}
	}
	return m, nil
}
