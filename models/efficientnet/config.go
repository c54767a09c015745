package efficientnet

import (
	"fmt"
	"math"

	"captioner/weights/mistakes"
)

// Config is the shape of a net.
type Config struct {
	Resolution int64   `json:"resolution"` // side of the square images that it was trained on; others work
	Stem       int64   `json:"stem"`       // channels after the first convolution
	Stages     []Stage `json:"stages"`
	Head       int64   `json:"head"`    // channels of the last 1x1 convolution; 0: no head, the grid is all there is
	Classes    int64   `json:"classes"` // of the classifier behind the head; 0: none
}

// Stage is a run of blocks; the first of them has the stride and changes the channels.
type Stage struct {
	Repeats int   `json:"repeats"`
	Kernel  int64 `json:"kernel"`
	Stride  int64 `json:"stride"`
	Expand  int64 `json:"expand"` // how many times wider a block is inside; 1: no expansion
	Out     int64 `json:"out"`    // channels
}

// Lite0 is EfficientNet-Lite0: 4.7M parameters, 224x224, grid 7x7x320.
func Lite0() Config { return lite(1.0, 1.0, 224) }

// Lite1 is EfficientNet-Lite1: 5.4M parameters, 240x240, grid 8x8x320.
func Lite1() Config { return lite(1.0, 1.1, 240) }

// Lite2 is EfficientNet-Lite2: 6.1M parameters, 260x260, grid 9x9x352.
func Lite2() Config { return lite(1.1, 1.2, 260) }

// Lite3 is EfficientNet-Lite3: 8.2M parameters, 280x280, grid 9x9x384.
func Lite3() Config { return lite(1.2, 1.4, 280) }

// Lite4 is EfficientNet-Lite4: 13.0M parameters, 300x300, grid 10x10x448.
func Lite4() Config { return lite(1.4, 1.8, 300) }

// lite scales EfficientNet-B0 (Tan and Le 2019, table 1) as the Lite family does: stem and head keep their channels,
// the first and the last stage their depth.
func lite(width, depth float64, resolution int64) Config {
	c := Config{Resolution: resolution, Stem: 32, Head: 1280, Classes: 1000, Stages: []Stage{
		{
			1,
			3,
			1,
			1,
			16,
		}, {2, 3, 2, 6, 24}, {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80}, {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320},
	}}
	for i := range c.Stages {
		s := &c.Stages[i]
		s.Out = channels(float64(s.Out) * width)
		if i != 0 && i != len(c.Stages)-1 {
			s.Repeats = int(math.Ceil(float64(s.Repeats)*depth - 1e-9))
		}
	}
	return c
}

// channels rounds to a multiple of 8, and never by more than a tenth downwards.
func channels(c float64) int64 {
	n := max(8, int64(c+4)/8*8)
	if float64(n) < 0.9*c {
		n += 8
	}
	return n
}

// GridChannels is the width of the features that Grid gives.
func (c Config) GridChannels() int64 { return c.Stages[len(c.Stages)-1].Out }

// GridSide is the side of the grid for square images of the given side.
func (c Config) GridSide(side int64) int64 {
	side = (side + 1) / 2
	for _, s := range c.Stages {
		side = (side + s.Stride - 1) / s.Stride
	}
	return side
}

// WithoutHead is c without head and classifier, for features only.
func (c Config) WithoutHead() Config {
	c.Head, c.Classes = 0, 0
	return c
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	wrong.Positive("resolution", c.Resolution)
	wrong.Positive("stem", c.Stem)
	wrong.Positive("number of stages", int64(len(c.Stages)))
	for i, s := range c.Stages {
		name := fmt.Sprintf("stage %d: ", i)
		wrong.Positive(name+"repeats", int64(s.Repeats))
		wrong.Positive(name+"expand", s.Expand)
		wrong.Positive(name+"out", s.Out)
		wrong.Check(s.Kernel >= 1 && s.Kernel%2 == 1, "%skernel: found %d, want an odd number", name, s.Kernel)
		wrong.Check(s.Stride == 1 || s.Stride == 2, "%sstride: found %d, want 1 or 2", name, s.Stride)
	}
	wrong.Check(c.Head >= 0 && c.Classes >= 0 && (c.Head > 0 || c.Classes == 0),
		"head and classes: found %d and %d, want 0 or more, and no classes without a head", c.Head, c.Classes)
	return wrong.Err("efficientnet config")
}
