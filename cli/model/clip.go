package model

import (
	"context"
	"path/filepath"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/published"
	"captioner/models/checkpoint"
	"captioner/models/clipscore"
	"captioner/models/encoder"
	"captioner/weights/store"
)

// OpenCLIP opens the CLIP with both towers that --clip names, by file or by name, and says what it is called.
func OpenCLIP(ctx context.Context, con *console.Console, clip string, device string,
	heads *encoder.Heads) (m *clipscore.Model, name string, err error) {
	path, err := published.Locate(ctx, con, checkpoint.AsCLIP, clip)
	if err != nil {
		return nil, "", err
	}
	name = clip // as it was asked for
	if entry, err := store.Find(name); path == clip {
		name = filepath.Base(path)
	} else if err == nil {
		name = entry.Name
	}
	if device == flags.AllGPUs {
		device = "cuda"
	}
	m, err = clipscore.Open(path, clipscore.Options{Device: device, Heads: heads})
	if err == nil && m.Doubt != "" {
		con.Term.Log.Warn(m.Doubt)
	}
	return m, name, console.WithHint(err, "--clip takes a checkpoint with both towers, such as OpenAI's ViT-B-32.pt, "+
		"a name of weights list such as ViT-B/32, or a model.safetensors of Hugging Face")
}
