// Package curves draws how a training goes: its losses and its scores.
package curves

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"captioner/weights/atomicfile"
)

// The colors of the curves, told apart also by people who do not see red and green (Okabe and Ito 2008).
var (
	blue   = color.RGBA{0, 114, 178, 255}
	orange = color.RGBA{213, 94, 0, 255}
	green  = color.RGBA{0, 158, 115, 255}
)

// Point is what a training knew at a step: of the step itself, or of a measurement after it.
type Point struct {
	Phase  string             // "text", "captions", "scst" or "final"
	Step   int                // of the phase
	Loss   float64            // mean loss in nats a token; in "scst" the mean reward
	LR     float64            // learning rate
	Norm   float64            // of the gradients
	Scores map[string]float64 // of a measurement, by name; nil for a step
}

// curve is points with a name.
type curve struct {
	name   string
	colour color.Color
	points plotter.XYs
	marked bool // each point counts by itself
}

// Draw draws loss.svg and loss.png in the folder dir: above the losses, below what the captions score, over the steps
// of the whole run. It draws nothing where no point has a step.
func Draw(dir, title string, points []Point) error {
	losses, scores, ends, last := split(points)
	if last == 0 { // nothing was learnt
		return nil
	}
	top, err := panel("loss", losses, ends, last)
	if err != nil {
		return err
	}
	bottom, err := panel("score", scores, ends, last)
	if err != nil {
		return err
	}
	top.Title.Text, bottom.X.Label.Text = title, "step"
	const width, height = 7 * vg.Inch, 6 * vg.Inch
	svg, png := vgsvg.New(width, height), vgimg.PngCanvas{Canvas: vgimg.New(width, height)}
	for _, c := range []struct {
		file   string
		canvas interface {
			vg.CanvasSizer
			io.WriterTo
		}
	}{{"loss.svg", svg}, {"loss.png", png}} {
		tiles := draw.Tiles{
			Rows: 2, Cols: 1, PadY: vg.Points(8),
			PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(14),
		}
		plots := [][]*plot.Plot{{top}, {bottom}}
		for i, row := range plot.Align(plots, tiles, draw.New(c.canvas)) {
			plots[i][0].Draw(row[0])
		}
		err := atomicfile.WriteFile(filepath.Join(dir, c.file), func(w io.Writer) error {
			_, err := c.canvas.WriteTo(w)
			return err
		})
		if err != nil {
			return fmt.Errorf("draw curves: %w", err)
		}
	}
	return nil
}

// split sorts the numbers of a run into curves. The phases follow each other: ends are the steps at which one begins
// behind another, last is the last.
func split(points []Point) (losses, scores []curve, ends []float64, last float64) {
	named := map[string]*curve{}
	var order []string
	add := func(name string, colour color.Color, marked bool, x, y float64) {
		if math.IsNaN(y) || math.IsInf(y, 0) {
			return
		}
		if named[name] == nil {
			named[name] = &curve{name: name, colour: colour, marked: marked}
			order = append(order, name)
		}
		named[name].points = append(named[name].points, plotter.XY{X: x, Y: y})
	}
	base, phase := 0.0, ""
	for _, p := range points {
		if p.Phase == "final" {
			continue
		}
		if p.Phase != phase {
			if base, phase = last, p.Phase; base > 0 {
				ends = append(ends, base)
			}
		}
		x := base + float64(p.Step)
		last = max(last, x)
		switch {
		case p.Scores != nil:
			add("validation loss", orange, true, x, p.Scores["val_loss"])
			add("CIDEr", blue, true, x, p.Scores["cider"])
			add("BLEU-4", orange, true, x, p.Scores["bleu4"])
		case p.Phase == "scst":
			add("reward (CIDEr-D / 10)", green, false, x, p.Loss/10)
		default:
			add("training loss", blue, false, x, p.Loss)
		}
	}
	for _, name := range order {
		if c := *named[name]; name == "training loss" || name == "validation loss" {
			losses = append(losses, c)
		} else {
			scores = append(scores, c)
		}
	}
	return losses, scores, ends, last
}

// panel is a plot of curves over the steps up to last, with a thin line where a phase ends.
func panel(label string, curves []curve, ends []float64, last float64) (*plot.Plot, error) {
	p := plot.New()
	p.Y.Label.Text = label
	p.Legend.Top, p.Legend.Padding, p.Legend.XOffs = true, vg.Points(3), vg.Points(-6)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{230}, color.Gray{230}
	p.Add(grid)
	for _, c := range curves {
		line, points, err := plotter.NewLinePoints(c.points)
		if err != nil {
			return nil, fmt.Errorf("draw curve %s: %w", c.name, err)
		}
		line.Color, line.Width = c.colour, vg.Points(1.4)
		points.Color, points.Shape, points.Radius = c.colour, draw.CircleGlyph{}, vg.Points(2.4)
		p.Add(line)
		if c.marked || len(c.points) == 1 {
			p.Add(points)
			p.Legend.Add(c.name, line, points)
		} else {
			p.Legend.Add(c.name, line)
		}
	}
	p.X.Min, p.X.Max = 0, max(last, 1)
	if label == "score" {
		p.Y.Min = 0
	}
	if len(curves) == 0 || p.Y.Max <= p.Y.Min {
		p.Y.Min, p.Y.Max = min(p.Y.Min, 0), max(p.Y.Max, 1)
	}
	legend := .03 + .08*float64(len(curves)) // share of the panel that it takes, which the curves leave free
	p.Y.Max += legend / (1 - legend) * (p.Y.Max - p.Y.Min)
	low, high := p.Y.Min, p.Y.Max
	for _, x := range ends {
		edge, err := plotter.NewLine(plotter.XYs{{X: x, Y: low}, {X: x, Y: high}})
		if err != nil {
			return nil, err
		}
		edge.Color, edge.Dashes = color.Gray{150}, []vg.Length{vg.Points(2), vg.Points(3)}
		p.Add(edge)
	}
	return p, nil
}
