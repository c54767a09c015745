package image

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"captioner/data/image/raw"
)

// rawExtensions are those of raw files of cameras, of which the preview is read.
var rawExtensions = []string{
	".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw",
}

// HasRawExtension says by the extension of its name, in any case, whether a file is a raw file of a camera.
func HasRawExtension(name string) bool {
	return slices.Contains(rawExtensions, strings.ToLower(filepath.Ext(name)))
}

// RawKind is the kind of raw file that b is, "NEF" or "CR3", of which Decode reads the preview; "" for other files.
func RawKind(b []byte) string { return raw.Kind(b) }

func isRaw(b []byte) bool { return raw.Kind(b) != "" }

func rawConfig(b []byte) (w, h int, err error) {
	p, err := raw.Find(b)
	if err != nil {
		return 0, 0, rawReason(b, err)
	}
	return p.W, p.H, nil
}

func decodeRaw(b []byte, o Options) (*RGB, error) {
	p, err := raw.Find(b)
	if err != nil {
		return nil, rawReason(b, err)
	}
	return decodeJPEG(p.JPEG, o)
}

func rawReason(b []byte, err error) error {
	if errors.Is(err, raw.ErrNone) {
		return refuse(raw.Kind(b), ErrUnsupported, "%v", err)
	}
	return err
}

// rawOrientation is the preview's own, or where it has none, that of the raw file.
func rawOrientation(b []byte) int {
	p, err := raw.Find(b)
	if err != nil {
		return 1
	}
	if v := jpegOrientation(p.JPEG); v != 1 || p.Orientation == 0 {
		return v
	}
	return p.Orientation
}
