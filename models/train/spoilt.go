package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"captioner/weights/atomicfile"
)

// ErrNotFinite is the cause where a loss or a gradient has become infinite or no number.
var ErrNotFinite = errors.New("a finite number")

// spoilt is the error of a step whose numbers are not finite; the images of its last batch are written down.
func (l *learner) spoilt(what string, v float64) error {
	type image struct {
		ID       string   `json:"id"`
		Path     string   `json:"path"`
		Captions []string `json:"captions"`
	}
	note := struct {
		Phase  string  `json:"phase"`
		Step   int     `json:"step"`
		Images []image `json:"pictures"`
	}{Phase: l.name, Step: l.state.Step}
	for _, i := range l.batch {
		note.Images = append(note.Images, image{l.train[i].ID, l.train[i].Name(), l.train[i].Captions})
	}
	err := fmt.Errorf("train: phase %s, step %d: the %s is %g, want %w; "+
		"the last checkpoint, if there is one, is as it was", l.name, l.state.Step+1, what, v, ErrNotFinite)
	if len(note.Images) == 0 {
		return err
	}
	b, jerr := json.MarshalIndent(note, "", "  ")
	if jerr == nil {
		jerr = atomicfile.WriteFile(filepath.Join(l.dir, spoiltFile), writer(append(b, '\n')))
	}
	if jerr != nil {
		return fmt.Errorf("%w (its images could not be written down: %w)", err, jerr)
	}
	return fmt.Errorf("%w; the images of its last batch are in %s", err, spoiltFile)
}
