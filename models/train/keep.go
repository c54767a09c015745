package train

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"captioner/models/checkpoint"
	"captioner/models/family"
)

// keep writes the model files of a measurement: last.safetensors always, best.safetensors where it is the best, and one of its own name where
// some are to be kept, of which the oldest go.
func (l *learner) keep(e Event, scores map[string]float64) error {
	card := l.card
	card.Metrics, card.Decoding = scores, "greedy"
	if e.Best {
		l.card = card
		if err := l.write(filepath.Join(l.dir, bestFile), card); err != nil {
			return err
		}
	}
	if err := l.write(filepath.Join(l.dir, lastFile), card); err != nil || l.Keep == 0 || !l.Group.IsLead() {
		return err
	}
	if err := l.write(filepath.Join(l.dir, fmt.Sprintf("%d-%s-%07d.safetensors", l.number+1, l.name, e.Step)), card); err != nil {
		return err
	}
	kept, err := filepath.Glob(filepath.Join(l.dir, "[0-9]-*-[0-9]*.safetensors"))
	if err != nil {
		return err
	}
	slices.Sort(kept)
	for _, old := range kept[:max(0, len(kept)-l.Keep)] {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("keep %d checkpoints: %w", l.Keep, err)
		}
	}
	return nil
}

// write writes the model as it is as a model file. An encoder that learnt has a checksum of its own: that of its weights.
func (t *trainer) write(path string, card family.Card) error {
	if !t.Group.IsLead() {
		return nil
	}
	c, encoder := t.config, t.encoder
	if t.tuner != nil {
		var err error
		if encoder, c.Encoder.SHA256, err = t.tuner.Tensors(); err != nil {
			return err
		}
		if told := fmt.Sprintf(", trained from stage %d on", t.stage()); !strings.Contains(card.Encoder, told) {
			card.Encoder += told
		}
	}
	return checkpoint.Save(path, c, t.tok, card, t.model, encoder)
}
