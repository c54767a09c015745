// Package metadata reads what images say of themselves, and writes captions and keywords into JPEG, PNG, WebP and TIFF
// files.
//
// The caption goes into XMP (dc:description and the alternative text). IPTC-IIM is changed too where a JPEG file has it
// already, and the ImageDescription of EXIF where one stands there that is to be replaced: so no reader finds an old
// text beside the new one. Neither is made where there is none.
//
// The coded image keeps its bytes. What offsets point to does not move: EXIF blocks and TIFF files grow at their end
// alone, so that the notes of cameras stay readable. A file whose structure is damaged, or that ends too early, is
// refused.
package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"captioner/data/metadata/xmp"
)

// blocks are the parts of a file that hold metadata. Nil is none.
type blocks struct {
	xmp     []byte
	more    [][]byte // further packets of XMP, which are read alone
	exif    []byte   // a TIFF structure
	iptc    []byte   // data sets of IPTC-IIM
	comment string   // a text that a format has for descriptions; "" for none
}

// container is a file of one format.
type container interface {
	blocks() blocks
	// replace is the file with other blocks: those of them that are nil are left as they are.
	replace(blocks) ([]byte, error)
}

// UnsupportedError says that metadata cannot be written into a file.
type UnsupportedError struct{ Found string }

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("metadata: found %s, want a JPEG, PNG, WebP or TIFF file", e.Found)
}

// Hint says what works for all formats.
func (e *UnsupportedError) Hint() string {
	return "--sidecar .xmp keeps metadata beside an image of any format"
}

// open finds the structure of a file.
func open(b []byte) (container, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return openJPEG(b)
	case bytes.HasPrefix(b, []byte(pngMagic)):
		return openPNG(b)
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return openWebP(b)
	case bytes.HasPrefix(b, []byte("II*\x00")), bytes.HasPrefix(b, []byte("MM\x00*")),
		bytes.HasPrefix(b, []byte("II+\x00")), bytes.HasPrefix(b, []byte("MM\x00+")):
		return openTIFF(b)
	}
	return nil, &UnsupportedError{Found: "another format"}
}

// Change is a file with metadata that were changed.
type Change struct {
	Bytes   []byte   // the whole file
	Written []string // what was changed: "XMP", "IPTC", "EXIF", "PNG text"
}

// ErrDescribed says that a file has a description, which stays.
var ErrDescribed = errors.New("it has a description")

// Edit changes the metadata of a file, which stays as it is. With xmp.Keep, a file that has a description gives
// ErrDescribed. A change without Bytes is none: the file says already what it shall.
func Edit(b []byte, e xmp.Edit) (Change, error) {
	c, err := open(b)
	if err != nil {
		return Change{}, err
	}
	old := c.blocks()
	if err := old.readable(); err != nil {
		return Change{}, err
	}
	there := old.info()
	if e.Existing == xmp.Keep && there.Description != "" {
		return Change{}, ErrDescribed
	}
	fresh, written, err := old.changed(there, e)
	if err != nil || len(written) == 0 {
		return Change{}, err
	}
	out, err := c.replace(fresh)
	if err != nil {
		return Change{}, err
	}
	return Change{out, written}, verify(out, e.Joined(there.Description))
}

// verify reads a changed file again.
func verify(b []byte, text string) error {
	c, err := open(b)
	if err != nil {
		return fmt.Errorf("metadata: the changed file does not read: %w", err)
	}
	p, err := xmp.Parse(c.blocks().xmp)
	if err != nil || p.Text(xmp.Description) != strings.TrimSpace(text) {
		return fmt.Errorf("metadata: what was written does not read back: %v", err)
	}
	return nil
}

// readable refuses XMP that cannot be added to.
func (b blocks) readable() error {
	for _, packet := range append([][]byte{b.xmp}, b.more...) {
		if packet == nil {
			continue
		}
		if _, err := xmp.Parse(packet); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
	}
	return nil
}

// changed are the blocks that an edit changes, and their names; the others are nil.
func (b blocks) changed(there Info, e xmp.Edit) (fresh blocks, written []string, err error) {
	text := e.Joined(there.Description)
	for _, packet := range b.more {
		if p, _ := xmp.Parse(packet); p != nil && p.Text(xmp.Description) != "" {
			return fresh, nil, errors.New("metadata: its description stands in a second or in extended XMP, " +
				"which is not changed")
		}
	}
	if fresh.xmp, err = b.changedXMP(there, e, text); err != nil {
		return fresh, nil, err
	}
	if fresh.xmp != nil {
		written = append(written, "XMP")
	}
	if b.iptc != nil {
		if fresh.iptc, err = changeIPTC(b.iptc, text, e.Keywords); err != nil {
			return fresh, nil, err
		}
		if bytes.Equal(fresh.iptc, b.iptc) {
			fresh.iptc = nil
		} else {
			written = append(written, "IPTC")
		}
	}
	if b.exif != nil && e.Existing != xmp.Keep {
		if fresh.exif = changeEXIF(b.exif, text); fresh.exif != nil {
			written = append(written, "EXIF")
		}
	}
	if b.comment != "" && b.comment != text {
		fresh.comment = text
		written = append(written, "PNG text")
	}
	return fresh, written, nil
}

// changedXMP is the packet that an edit makes; nil where nothing changes.
func (b blocks) changedXMP(there Info, e xmp.Edit, text string) ([]byte, error) {
	p := xmp.New()
	if b.xmp != nil {
		var err error
		if p, err = xmp.Parse(b.xmp); err != nil {
			return nil, err
		}
	}
	elsewhere := p.Text(xmp.Description) == "" // the text that is there stands in EXIF, IPTC or a comment
	if len(e.Keywords) > 0 && len(p.List(xmp.Subject)) == 0 {
		e.Keywords = append(there.Keywords[:len(there.Keywords):len(there.Keywords)], e.Keywords...)
	}
	if err := p.Apply(e); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if elsewhere {
		if err := p.SetText(xmp.Description, text); err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
	}
	out, err := p.Bytes()
	if err != nil || b.xmp != nil && bytes.Equal(out, b.xmp) {
		return nil, err
	}
	return out, nil
}
