// Package image turns image files into the pixels that a model was trained
// on. It decodes JPEG, PNG, GIF (first frame), BMP, WebP, TIFF, HEIC and AVIF to packed
// RGB, turns images the way their EXIF orientation says, and scales and crops
// them, all with the bytes that Pillow's convert("RGB"), exif_transpose and
// bicubic resize give: a model sees here what it saw in Python. A image keeps
// in mind what mode its file is in, for models that scale before they make RGB
// (Preprocess.ScaleFirst).
//
// The format is told by a file's content, never by its name. Alpha is dropped
// straight: a transparent pixel keeps the color that it has in the file.
//
// It refuses files of other formats, truncated and corrupt files, images of
// more pixels than Options allows (checked from the header, before memory is
// taken) and paths that are not regular files. Every error of Decode is an
// *Error that names the format and the reason. It never prints.
//
// Builds without cgo, or with the tag nolibjpeg, decode JPEG by the standard
// library; see package jpeg for how far those pixels are off. Without cgo, or
// with the tag nolibtiff, they read the TIFF files that golang.org/x/image can.
package image

// RGB is an image of W x H pixels. Pix holds 3*W*H bytes: rows from the top,
// pixels from the left, red, green, blue, without padding. All functions of
// this package leave an image that is handed to them unchanged.
type RGB struct {
	Pix    []uint8
	W, H   int
	native native // how its file holds it, for Preprocess.ScaleFirst
}

// New returns a black image of w x h pixels.
func New(w, h int) *RGB { return &RGB{Pix: make([]uint8, 3*w*h), W: w, H: h} }

// DefaultMaxPixels is the limit that Pillow sets too: twice the pixels that fit
// a quarter of a gibibyte, three bytes each.
const DefaultMaxPixels = 178_956_970

// MaxFileBytes is the size up to which DecodeFile reads a file.
const MaxFileBytes = 1 << 30

// Options says how files are decoded. DefaultOptions is what users expect of
// photographs; Options{} is what Pillow does without being asked.
type Options struct {
	// Orient turns the image as its EXIF orientation says.
	Orient bool
	// MaxPixels refuses larger images. Zero or less is DefaultMaxPixels.
	MaxPixels int64
	// AllowTruncated keeps what can be read of a JPEG or PNG file whose end is
	// missing: the rest of the image is grey (JPEG) or black (PNG). Other
	// formats are refused as without it.
	AllowTruncated bool
}

// DefaultOptions turns images upright, limits them to DefaultMaxPixels and
// refuses truncated files.
func DefaultOptions() Options {
	return Options{Orient: true, MaxPixels: DefaultMaxPixels}
}

func (o Options) maxPixels() int64 {
	if o.MaxPixels <= 0 {
		return DefaultMaxPixels
	}
	return o.MaxPixels
}
