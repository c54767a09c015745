// Package tagging is --tags of predict and eval: a list of tags, and the CLIP that ranks them.
package tagging

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/data/image"
	"captioner/data/record"
	"captioner/models/tags"
)

// Options are what the flags say.
type Options struct {
	File, CLIP string
	Activation flags.Activation // of CLIP
	Threshold  float64
	Most       int
}

// The defaults. The threshold is a start for OpenAI's CLIPs and was not calibrated on their weights: "captioner eval
// --tags" finds the one for a list and a CLIP.
const (
	threshold = 0.25
	most      = 10
)

// limit is how many tags a list may have.
const limit = 100_000

// Flags are those of predict.
func (o *Options) Flags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tags",
			Usage:    "also list the tags of `FILE`, one a line, that --clip finds near to the image",
			Category: category, Destination: &o.File, TakesFile: true},
		&cli.StringFlag{Name: "clip",
			Usage:       "the CLIP of --tags: a checkpoint `FILE` with both towers, or a name of weights list such as ViT-B/32",
			DefaultText: "that of --encoder", Category: category, Destination: &o.CLIP, TakesFile: true},
		o.Activation.CLIPFlag(category),
		&cli.Float64Flag{Name: "tag-threshold", Value: threshold,
			Usage:    "the least similarity of a tag, -1 to 1; \"captioner eval --tags\" finds the best on captioned images",
			Category: category, Destination: &o.Threshold},
		&cli.IntFlag{Name: "max-tags", Value: most, Usage: "list at most `N` tags of an image", Category: category,
			Destination: &o.Most},
	}
}

// Validate looks at what can be seen before a model is opened; set says which flags were given.
func (o *Options) Validate(set func(string) bool) error {
	if o.File == "" {
		for _, name := range []string{"clip", "clip-activation", "tag-threshold", "max-tags"} {
			if set(name) {
				return console.Usagef("", "--%s needs --tags", name)
			}
		}
		return nil
	}
	if o.Threshold < -1 || o.Threshold > 1 {
		return console.Usagef("", "--tag-threshold %g: want -1 to 1", o.Threshold)
	}
	if o.Most < 1 || o.Most > limit {
		return console.Usagef("", "--max-tags %d: want 1 to %d", o.Most, limit)
	}
	return o.Activation.ValidateCLIP(o.CLIP)
}

// Open reads the list and opens the CLIP: that of --clip, or of --encoder where it has both towers.
func Open(ctx context.Context, con *console.Console, o Options, m flags.Model) (*tags.Ranker, string, error) {
	list, err := Read(o.File)
	if err != nil {
		return nil, "", err
	}
	clip, activation := o.CLIP, o.Activation
	if clip == "" {
		clip, activation = m.Encoder, m.Activation
	}
	if clip == "" {
		return nil, "", console.Usagef("--clip ViT-B/32, or a file with both towers; weights list shows the names",
			"--tags ranks by a CLIP, and the model has no text tower: name one by --clip")
	}
	heads, err := m.Heads.Parse()
	if err != nil {
		return nil, "", err
	}
	heads.Activation = string(activation)
	c, _, err := model.OpenCLIP(ctx, con, clip, m.Device, heads)
	if err != nil {
		return nil, "", err
	}
	r, err := tags.New(ctx, c, list)
	if err != nil {
		c.Close()
		return nil, "", err
	}
	r.Threshold, r.Most = o.Threshold, o.Most
	return r, fmt.Sprintf("%s %q %g %d%s", c.SHA256, list, o.Threshold, o.Most, activation), nil
}

// Tag ranks the tags of images that were captioned; nil ranks none.
func Tag(ctx context.Context, r *tags.Ranker, results []*output.Result) error {
	if r == nil {
		return nil
	}
	var good []*output.Result
	var imgs []*image.RGB
	for _, res := range results {
		if res.Err == nil && !res.Skip && res.ForTags != nil {
			good, imgs = append(good, res), append(imgs, res.ForTags)
		}
	}
	if len(imgs) == 0 {
		return nil
	}
	all, err := r.Rank(ctx, imgs)
	if err != nil {
		return err
	}
	for i, res := range good {
		res.Tags, res.ForTags = all[i], nil
	}
	return nil
}

// Read reads a list of tags, one a line. Empty lines, and what stands there twice, are left out.
func Read(path string) (list []string, err error) {
	f, err := record.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the tags: %w", err)
	}
	defer f.Close()
	seen := make(map[string]bool)
	for number, line := range record.Lines(f.Reader) {
		if line.Err != nil {
			return nil, fmt.Errorf("read the tags %q: line %d: %w", path, number, line.Err)
		}
		tag := strings.Join(strings.Fields(line.Text), " ")
		if tag == "" || seen[tag] {
			continue
		}
		if len(list) == limit {
			return nil, fmt.Errorf("read the tags %q: more than %d, the limit", path, limit)
		}
		seen[tag], list = true, append(list, tag)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("read the tags %q: found none, want one a line", path)
	}
	return slices.Clip(list), nil
}
