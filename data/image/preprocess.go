package image

import (
	"cmp"
	"fmt"
	"math"

	"captioner/data/image/resample"
)

// Resize scales src to w x h pixels by Pillow's bicubic (of Pillow 13), byte for
// byte. A image or a size without pixels gives an empty image.
func Resize(src *RGB, w, h int) *RGB {
	return resize(src, w, h, resample.Rect{X1: w, Y1: h}, resample.Cubic, false)
}

// Crop returns the w x h pixels of src from (x, y) on. Where the rectangle
// reaches over the edge, the result is black, as Pillow's crop is.
func Crop(src *RGB, x, y, w, h int) *RGB {
	w, h = max(w, 0), max(h, 0)
	crop := func(pix []uint8, n int) []uint8 {
		out := make([]uint8, n*w*h)
		x0, x1 := max(x, 0), min(x+w, src.W)
		for row := max(y, 0); row < min(y+h, src.H) && x0 < x1; row++ {
			copy(out[n*((row-y)*w+x0-x):], pix[n*(row*src.W+x0):n*(row*src.W+x1)])
		}
		return out
	}
	return &RGB{crop(src.Pix, 3), w, h, src.native.moved(crop)}
}

func resize(src *RGB, w, h int, r resample.Rect, f resample.Filter, rowsFirst bool) *RGB {
	if src.W <= 0 || src.H <= 0 || w <= 0 || h <= 0 {
		return New(0, 0)
	}
	return &RGB{Pix: resample.Scale(src.Pix, src.W, src.H, w, h, r, f, rowsFirst), W: r.X1 - r.X0, H: r.Y1 - r.Y0}
}

// Ways to bring an image to a square.
const (
	FitSquash = "squash" // the whole image, its sides scaled alike or not
	FitCrop   = "crop"   // the shorter side scaled, the middle cut out, as CLIP does
)

// FilterLinear is Pillow's bilinear.
const FilterLinear = "bilinear"

// Preprocess is what a model wants done to its images. Its JSON is part of a
// model file.
type Preprocess struct {
	Size int    `json:"size"` // side of the square in pixels
	Fit  string `json:"fit"`  // FitSquash or FitCrop
	// Mean and Std are of the values 0 to 255; the model subtracts and divides.
	// Apply leaves them to the model: bytes are a quarter of the memory.
	Mean [3]float64 `json:"mean"`
	Std  [3]float64 `json:"std"`
	// RowsFirst gives the bytes of Pillow 12 and older, which differ from those
	// of Pillow 13 by a rounding step for some tall images: those whose height
	// shrinks by more than twice the pixels that their width does.
	RowsFirst bool `json:"rows_first,omitempty"`
	// Filter is how pixels are scaled: FilterLinear, or Pillow's bicubic where
	// it is empty.
	Filter string `json:"filter,omitempty"`
	// ScaleFirst scales images in the mode of their file and makes them RGB
	// after that, as OpenAI's and OpenCLIP's transforms do. Hugging Face's
	// processors make them RGB first, and so does Apply without it. RGB and grey
	// of 8 bits are the same both ways.
	ScaleFirst bool `json:"scale_first,omitempty"`
	// CutGrey cuts grey of 16 bits at 255 before all else, as Pillow makes RGB of
	// it and so Hugging Face's processors: most of it becomes white. Without it
	// the high byte is taken.
	CutGrey bool `json:"cut_grey,omitempty"`
	// CropFloor halves what is left beside a crop downwards, as Hugging Face's
	// processors do. Without it a half goes to the even number, as in torchvision.
	CropFloor bool `json:"crop_floor,omitempty"`
	// Resize is the side before the middle of Size x Size pixels is cut out: of
	// the shorter side with FitCrop, of both with FitSquash. 0 is Size.
	Resize int `json:"resize,omitempty"`
}

// Validate reports the first thing in p that no image can be brought to.
func (p Preprocess) Validate() error {
	if p.Size < 1 || p.Size > 1<<13 {
		return fmt.Errorf("preprocess: size %d, want 1 to %d", p.Size, 1<<13)
	}
	if p.Resize != 0 && (p.Resize < p.Size || p.Resize > 1<<13) {
		return fmt.Errorf("preprocess: resize %d, want %d to %d", p.Resize, p.Size, 1<<13)
	}
	if p.Fit != FitSquash && p.Fit != FitCrop {
		return fmt.Errorf("preprocess: fit %q, want %q or %q", p.Fit, FitSquash, FitCrop)
	}
	if p.Filter != "" && p.Filter != FilterLinear {
		return fmt.Errorf("preprocess: filter %q, want %q or none for bicubic", p.Filter, FilterLinear)
	}
	for i, s := range p.Std {
		if !(s > 0) || math.IsInf(s, 0) || math.IsNaN(p.Mean[i]) || math.IsInf(p.Mean[i], 0) {
			return fmt.Errorf("preprocess: channel %d: mean %g, std %g, want finite and std above 0", i, p.Mean[i], s)
		}
	}
	return nil
}

// Apply brings src to Size x Size pixels, byte for byte as torchvision's Resize
// and CenterCrop do on a Pillow image: on one of mode RGB, or with ScaleFirst
// on the image as it was decoded, which is made RGB at the end. Then colors
// of a palette are not mixed but the nearest taken, a pixel counts by its
// alpha, the four inks of a CMYK file are scaled apart, and grey of 16 bits is
// cut at 255 when all is done, as Pillow cuts it: most of it becomes white. p is
// valid; src is unchanged. Apply may be called from several goroutines.
func (p Preprocess) Apply(src *RGB) *RGB {
	filter := resample.Cubic
	if p.Filter == FilterLinear {
		filter = resample.Linear
	}
	side := cmp.Or(p.Resize, p.Size)
	w, h := side, side
	switch {
	case p.Fit != FitCrop || src.W <= 0 || src.H <= 0:
	case src.W < src.H:
		h = side * src.H / src.W
	default:
		w = side * src.W / src.H
	}
	x, y := p.middle(w-p.Size), p.middle(h-p.Size)
	r := resample.Rect{X0: x, Y0: y, X1: x + p.Size, Y1: y + p.Size}
	if p.ScaleFirst && src.native.mode != modeRGB {
		return resizeNative(src, w, h, r, filter, p.RowsFirst)
	}
	if p.CutGrey && src.native.mode == modeGrey16 {
		src = &RGB{Pix: fromGrey16(src.native.samples()), W: src.W, H: src.H}
	}
	return resize(src, w, h, r, filter, p.RowsFirst)
}

// middle halves what is left beside a crop.
func (p Preprocess) middle(left int) int {
	if p.CropFloor {
		return left / 2
	}
	return int(math.RoundToEven(float64(left) / 2)) // as Python's round
}
