package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"captioner/models/train/board"
	"captioner/models/train/curves"
	"captioner/models/train/environment"
	"captioner/weights/atomicfile"
)

// journal is what a run writes down as it goes: metrics.jsonl, samples.jsonl, the file for TensorBoard, curves, and
// where it runs. The state knows how many bytes of each belong to the last checkpoint.
type journal struct {
	job
}

// log appends an event to metrics.jsonl and its numbers to the file for TensorBoard.
func (j *journal) log(e Event) error {
	if !j.Group.IsLead() {
		return nil
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := j.append(metricsFile, append(b, '\n'), &j.state.Metrics); err != nil {
		return err
	}
	return j.board(e)
}

// append writes behind the first size bytes of a file of the run folder: all that the state knows of.
func (j *journal) append(file string, b []byte, size *int64) error {
	f, err := os.OpenFile(filepath.Join(j.dir, file), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := f.Truncate(*size); err != nil { // what a run wrote that ended before its checkpoint
		f.Close()
		return fmt.Errorf("write %s: %w", file, err)
	}
	n, err := f.WriteAt(b, *size)
	*size += int64(n)
	return errors.Join(err, f.Close())
}

// record notes a measurement: its numbers, its captions, and the curves up to it.
func (j *journal) record(e Event) error {
	if !j.Group.IsLead() {
		return nil
	}
	if err := j.log(e); err != nil {
		return err
	}
	var lines []byte
	for _, s := range e.Samples {
		b, err := json.Marshal(struct {
			Phase string  `json:"phase"`
			Step  int     `json:"step"`
			Epoch float64 `json:"epoch"`
			Sample
		}{e.Phase, e.Step, e.Epoch, s})
		if err != nil {
			return err
		}
		lines = append(append(lines, b...), '\n')
	}
	if err := j.append(samplesFile, lines, &j.state.Samples); err != nil {
		return err
	}
	if err := j.boardSamples(e); err != nil {
		return err
	}
	return j.drawCurves()
}

// drawCurves draws what metrics.jsonl holds.
func (j *journal) drawCurves() error {
	b, err := os.ReadFile(filepath.Join(j.dir, metricsFile))
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	var points []curves.Point
	for line := range bytes.Lines(b) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("read %s: %w", metricsFile, err)
		}
		points = append(points, e.point())
	}
	return curves.Draw(j.dir, j.Name, points)
}

// writeEnvironment runs on the torch thread.
func (j *journal) writeEnvironment() error {
	if !j.Group.IsLead() {
		return nil
	}
	b, err := environment.JSON(j.Version, j.device)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(j.dir, environmentFile), writer(b))
}

// cutMetrics drops what was written after the checkpoint.
func (j *journal) cutMetrics() error {
	if !j.Group.IsLead() {
		return nil
	}
	for file, size := range map[string]int64{
		metricsFile: j.state.Metrics,
		samplesFile: j.state.Samples,
		eventsFile:  j.state.Events,

		filepath.Join(board.Train, eventsFile): j.state.TrainEvents,
		filepath.Join(board.Val, eventsFile):   j.state.ValEvents,
	} {
		err := os.Truncate(filepath.Join(j.dir, file), size)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("resume: %w", err)
		}
	}
	return nil
}
