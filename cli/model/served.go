package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/server"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/weights"
	"captioner/weights/hub"
)

// served is a captioner as the service wants it.
type served struct {
	*captioner.Captioner
	info server.Info
}

var _ server.Model = (*served)(nil)

// Serve loads a model and captions an empty image with it, so that the first request does not wait for what is done
// once, and a model that does not work is found out before it is used.
func Serve(o flags.Model) (server.Model, error) {
	path, gone, err := snapshot(o.Path)
	if err != nil {
		return nil, err
	}
	defer gone()
	own := o
	own.Path = path
	m, err := Load(context.Background(), own)
	if err != nil {
		return nil, rename(err, path, o.Path)
	}
	s, err := newServed(m.(loaded).Captioner, o.Path)
	if err == nil {
		err = s.warm(o.NoEncoder)
	}
	if err != nil {
		m.Close()
		return nil, rename(err, path, o.Path)
	}
	return s, nil
}

// Others opens further models by their paths or names, with the other flags of o. What it opened before an error is
// returned with it.
func Others(ctx context.Context, con *console.Console, o flags.Model, paths []string,
	open func(flags.Model) (server.Model, error)) (all []server.Model, err error) {
	for _, o.Path = range paths {
		named := o
		if err := FindWeights(ctx, con, &named); err != nil {
			return all, err
		}
		m, err := open(named)
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
	return all, nil
}

// warm captions an image without content, or features that are all zero.
func (s *served) warm(features bool) (err error) {
	if features {
		_, err = s.CaptionFeatures(context.Background(), [][]float32{make([]float32, s.info.Vectors*s.info.Width)},
			s.Defaults())
		return err
	}
	_, err = s.Caption(context.Background(), []*image.RGB{s.Prepare(image.New(64, 64))}, s.Defaults())
	return err
}

func newServed(c *captioner.Captioner, path string) (*served, error) {
	sum, err := c.File.Checksum()
	if err != nil {
		return nil, err
	}
	name := "demo"
	if path != "" {
		name = filepath.Base(path)
	}
	if repo, ok := hub.NameOf(path); ok {
		name = repo
	}
	places, width := c.FeatureShape()
	return &served{c, server.Info{
		Name: name, SHA256: sum, Device: c.Device(), Licence: c.File.Card.Licence, Data: c.File.Card.Data,
		Defaults: c.Defaults(), Positions: c.Positions(), Vectors: places, Width: width,
		UncertainBelow: c.UncertainBelow(),
		Pads:           c.Pads(),
	}}, nil
}

// snapshot copies a model file to where nobody else writes: weights are read from the file while the service runs, and
// who copies a new model over the old one would change them under its feet. The copy has no name once gone was called,
// and no place on the disk once it is closed.
func snapshot(path string) (copied string, gone func(), err error) {
	// Folders of Hugging Face are read where they lie.
	if info, err := os.Stat(path); path == "" || err == nil && info.IsDir() {
		return path, func() {}, nil
	}
	in, err := os.Open(path)
	if err != nil {
		return "", nil, console.WithHint(&weights.FileError{Doing: "open model", File: path, Err: weights.Reason(err)},
			"check the spelling; without --model the built-in model is used")
	}
	defer in.Close()
	if info, err := in.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", nil, &weights.FileError{Doing: "open model", File: path,
			Err: fmt.Errorf("it is a %s, want a file", weights.FileKind(info.Mode()))}
	}
	out, err := os.CreateTemp("", "captioner-*"+filepath.Ext(path))
	if err != nil {
		return "", nil, console.WithHint(fmt.Errorf("copy model %q: %w", path, err),
			"TMPDIR names a folder with room for a copy")
	}
	gone = func() { os.Remove(out.Name()) }
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		gone()
		return "", nil, console.WithHint(fmt.Errorf("copy model %q: %w", path, err),
			"TMPDIR names a folder with room for a copy")
	}
	return out.Name(), gone, nil
}

// rename makes an error about a copy one about the file that was copied.
func rename(err error, from, to string) error {
	if from == to {
		return err
	}
	return renamed{err, from, to}
}

// renamed is an error about a copy that names the file that was copied.
type renamed struct {
	error
	from, to string
}

func (e renamed) Error() string { return e.rename(e.error.Error()) }

// About returns the file that was copied, and what is wrong with it.
func (e renamed) About() (file string, why error) {
	var inner interface{ About() (string, error) }
	if errors.As(e.error, &inner) {
		file, why := inner.About()
		return e.rename(file), renamed{why, e.from, e.to}
	}
	return e.to, errors.New(e.Error())
}

func (e renamed) Unwrap() error { return e.error }
func (e renamed) Hint() string  { return e.rename(console.HintOf(e.error)) }

func (e renamed) rename(s string) string {
	return strings.ReplaceAll(s, e.from, e.to)
}

func (s *served) Info() server.Info          { return s.info }
func (s *served) Encode(text string) []int32 { return s.Tokenizer().Encode(text) }
