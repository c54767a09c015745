package board

import (
	"fmt"
	"strings"

	"captioner/data/image"
)

// TensorBoard draws what several folders have under one tag in one chart: these two have the tag "loss". All else, and
// both losses under tags of their own, stands in the file of the run folder itself.
const (
	Train = "train"
	Val   = "val"
)

// Start is how the file of a run begins: which tags share a chart, what was asked for, as an object of JSON, and which
// scores say what came of it.
func Start(name string, options []byte) []byte {
	b := append(Header(), Layout(name, []Chart{
		{"loss", []string{"train/loss", "val/loss"}},
		{"scores", []string{"val/cider", "val/bleu4", "val/rouge_l"}},
	})...)
	return append(b, Begin(name, options, []string{"val/cider", "val/bleu4", "val/rouge_l", "val/loss"})...)
}

// Numbers are what is shown of a step, or of a measurement, which has scores: by their tags. curve is the folder whose
// loss this is, "" for none.
func Numbers(phase string, loss, lr, norm float64, scores map[string]float64) (values map[string]float64, curve string,
	of float64) {
	values = map[string]float64{}
	side := Val
	switch {
	case phase == "final": // of the best model, with the search that it captions with
		side = "final"
	case scores != nil:
		curve, of = Val, scores["val_loss"]
	case phase == "scst":
		values["train/reward"], values["train/lr"], values["train/grad_norm"] = loss, lr, norm
	default:
		values["train/loss"], values["train/lr"], values["train/grad_norm"] = loss, lr, norm
		curve, of = Train, loss
	}
	for name, v := range scores {
		values[side+"/"+strings.TrimPrefix(name, "val_")] = v
	}
	return values, curve, of
}

// Sample is the caption of an image.
type Sample struct {
	Name, Caption string
	Read          func() ([]byte, error) // the image's file
}

// Samples are captions of a measurement, at a step: as a table, and below their images. An image that cannot be read
// any more is left out: a log is no reason to stop.
func Samples(step int, list []Sample) ([]byte, error) {
	table := "| image | caption |\n|---|---|\n"
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	var b []byte
	for i, s := range list {
		table += fmt.Sprintf("| %s | %s |\n", cell.Replace(s.Name), cell.Replace(s.Caption))
		file, err := s.Read()
		if err != nil {
			continue
		}
		img, err := image.Decode(file, image.DefaultOptions())
		if err != nil {
			continue
		}
		width, height, png, err := Captioned(img, s.Caption)
		if err != nil {
			return nil, fmt.Errorf("draw a caption: %w", err)
		}
		b = append(b, Image(step, fmt.Sprintf("val/image %d", i+1), width, height, png)...)
	}
	return append(b, Text(step, "val/captions", table)...), nil
}
