package train

import (
	"fmt"
	"os"
	"path/filepath"

	"captioner/models/train/board"
)

// board appends the numbers of an event to the files for TensorBoard. Steps count through all phases.
func (j *journal) board(e Event) error {
	if err := j.boardBegin(); err != nil {
		return err
	}
	step := e.Base + e.Step
	values, curve, loss := board.Numbers(e.Phase, e.Loss, e.LR, e.Norm, e.Scores)
	b := board.Scalars(step, values)
	if e.Phase == "final" {
		b = append(b, board.End()...)
	}
	if err := j.append(eventsFile, b, &j.state.Events); err != nil || curve == "" {
		return err
	}
	size := &j.state.TrainEvents
	if curve == board.Val {
		size = &j.state.ValEvents
	}
	if err := os.MkdirAll(filepath.Join(j.dir, curve), 0o777); err != nil {
		return fmt.Errorf("write curves: %w", err)
	}
	b = board.Scalars(step, map[string]float64{"loss": loss})
	if *size == 0 {
		b = append(board.Header(), b...)
	}
	return j.append(filepath.Join(curve, eventsFile), b, size)
}

// boardBegin begins the file with what was asked for, and with the charts that several tags share.
func (j *journal) boardBegin() error {
	if j.state.Events > 0 {
		return nil
	}
	return j.append(eventsFile, board.Start(j.Name, j.Options.JSON()), &j.state.Events)
}

// boardSamples adds captions of a measurement: as a table, and below their images.
func (j *journal) boardSamples(e Event) error {
	if len(e.Samples) == 0 {
		return nil
	}
	var list []board.Sample
	for _, s := range e.Samples {
		list = append(list, board.Sample{Name: filepath.Base(s.Path), Caption: s.Caption, Read: s.of.Bytes})
	}
	b, err := board.Samples(e.Base+e.Step, list)
	if err != nil {
		return err
	}
	return j.append(eventsFile, b, &j.state.Events)
}
