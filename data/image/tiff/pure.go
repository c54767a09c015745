//go:build !cgo || nolibtiff

package tiff

// Exact reports that the files are read as Pillow reads them.
const Exact = false

var errNotBuilt = &Error{ErrUnsupported, "this build is without libtiff"}

// Config fails in this build.
func Config(b []byte) (w, h int, err error) { return 0, 0, errNotBuilt }

// Decode fails in this build.
func Decode(b []byte) (*Image, error) { return nil, errNotBuilt }
