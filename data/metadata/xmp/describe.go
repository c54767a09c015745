package xmp

import (
	"fmt"
	"strings"
)

// Edit is what an image is to say of itself.
type Edit struct {
	Text     string   // caption and alternative text
	Keywords []string // added to those that are there
	Tool     string   // that made them; named where no other is
	Existing Existing // what becomes of a text that is there
}

// Existing says what becomes of a text that is there.
type Existing string

// The ways.
const (
	Keep      Existing = "skip"
	Overwrite Existing = "overwrite"
	Append    Existing = "append"
	Prepend   Existing = "prepend"
)

// Joined is the text that an edit makes of one that is there; a text that stands there already is not put there twice.
func (e Edit) Joined(old string) string {
	old = strings.TrimSpace(old)
	lines := "\n" + strings.ReplaceAll(old, "\r\n", "\n") + "\n"
	wanted := "\n" + strings.TrimSpace(e.Text) + "\n"
	switch {
	case old == "":
		return e.Text
	case e.Existing == Overwrite:
		return e.Text
	case e.Existing == Append && !strings.HasSuffix(lines, wanted):
		return old + "\n" + e.Text
	case e.Existing == Prepend && !strings.HasPrefix(lines, wanted):
		return e.Text + "\n" + old
	}
	return old
}

// Apply changes a packet as an edit says.
func (p *Packet) Apply(e Edit) error {
	for _, n := range []Name{Description, AltText} {
		if err := p.SetText(n, e.Joined(p.Text(n))); err != nil {
			return err
		}
	}
	if err := p.Add(Subject, e.Keywords...); err != nil {
		return err
	}
	return p.SetMissing(CreatorTool, e.Tool)
}

// Merge is a packet changed as an edit says, or a new one where old is empty. It is old itself where nothing changes.
func Merge(old []byte, e Edit) ([]byte, error) {
	p := New()
	if len(old) > 0 {
		var err error
		if p, err = Parse(old); err != nil {
			return nil, err
		}
	}
	if err := p.Apply(e); err != nil {
		return nil, fmt.Errorf("merge XMP: %w", err)
	}
	return p.Bytes()
}
