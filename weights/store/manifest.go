package store

import (
	"path"
	"slices"
	"strings"

	"captioner/weights/transfer"
)

// Entry is something that can be fetched by its name: one file, a model of several files, or members of an archive.
type Entry struct {
	Name    string   // "openai:ViT-B/32"
	Kind    Kind     // what it is for
	Aliases []string // other names that Find knows
	What    string   // for people
	Licence string   // of the weights, as their publisher states it
	Origin  string   // a page for people
	Repo    string   // on the Hugging Face hub; empty for all others
	Files   []File   // in the order in which they are fetched: small ones first
	Members []Member // of the one file, an archive, which is not kept; none where the file itself is wanted
	Folder  string   // below the cache, with slashes; unused for the hub

	repos []string // other names that the hub's cache may hold it under
}

// Kind is what an entry is for.
type Kind string

// The kinds of entries.
const (
	Captioner     Kind = "captioner"
	Encoder       Kind = "encoder"
	LanguageModel Kind = "language-model"
	Data          Kind = "data"
)

// File is one published file.
type File struct {
	Name   string // in the cache
	URL    string // for the hub: at its own address, revision main
	SHA256 string // as published, in lower-case hex; empty where nobody has published it
	Size   int64  // bytes, for plans and progress only: the checksum decides; 0 where it is not known

	mirror string // path below a mirror, where host and path of the URL do not tell it from others
}

// Member is one file of an archive.
type Member struct {
	From, To string // the name within the archive, and the one below the entry's folder, with slashes
	SHA256   string
	Size     int64
}

// Size is how many bytes the entry's files have; 0 if that of one is not known.
func (e Entry) Size() int64 {
	var n int64
	for _, f := range e.Files {
		if f.Size == 0 && f.Name != "config.json" { // under a kilobyte, and different in each
			return 0
		}
		n += f.Size
	}
	return n
}

// Checksum says who vouches for the content: "published" where the manifest has the SHA-256, "hub" where the hub tells
// it with the file, and "none" where nobody does; then a fetched file is checked by its length, by what the server says
// of it, and by its structure.
func (e Entry) Checksum() string {
	switch {
	case e.Repo != "":
		return "hub"
	case e.Files[0].SHA256 != "" || len(e.Members) > 0:
		return "published"
	}
	return "none"
}

// Manifest returns everything that can be fetched. The caller may change what it gets.
func Manifest() []Entry {
	var all []Entry
	for _, c := range clips {
		all = append(all, c.entry())
	}
	for _, m := range hubModels {
		all = append(all, m.entry())
	}
	all = append(all, blip())
	for _, d := range decoders {
		all = append(all, d.entry())
	}
	for _, c := range clipCaps {
		all = append(all, c.entry())
	}
	return append(all, meteor())
}

// Find returns the entry of a name, without regard to case, or an *UnknownError.
func Find(name string) (Entry, error) {
	all := Manifest()
	for _, e := range all {
		if strings.EqualFold(e.Name, name) || slices.ContainsFunc(e.Aliases,
			func(a string) bool { return strings.EqualFold(a, name) }) {
			return e, nil
		}
	}
	unknown := &UnknownError{Name: name}
	for _, e := range all {
		if strings.Contains(strings.ToLower(e.Name), strings.ToLower(name)) && name != "" {
			unknown.Near = append(unknown.Near, e.Name)
		}
	}
	return Entry{}, unknown
}

// Identify returns the entry that a file of this content belongs to, and the file's name there.
func Identify(sha256 string) (Entry, string, bool) {
	for _, e := range Manifest() {
		for _, f := range e.Files {
			if f.SHA256 != "" && strings.EqualFold(f.SHA256, sha256) {
				return e, f.Name, true
			}
		}
		for _, m := range e.Members {
			if strings.EqualFold(m.SHA256, sha256) {
				return e, m.To, true
			}
		}
	}
	return Entry{}, "", false
}

// clips are the files that clip.load of OpenAI's CLIP downloads. Their addresses hold their SHA-256.
var clips = []clip{
	{"RN50", "RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", 255827503},
	{"RN101", "RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599", 291791292},
	{"RN50x4", "RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd", 421854225},
	{"RN50x16", "RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa", 661125706},
	{"RN50x64", "RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c", 1353500174},
	{"ViT-B/32", "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", 353976522},
	{"ViT-B/16", "ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", 350837078},
	{"ViT-L/14", "ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", 932768134},
	{"ViT-L/14@336px", "ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02", 934088680},
}

type clip struct {
	name, file, sha256 string
	size               int64
}

func (c clip) entry() Entry {
	return Entry{
		Name: "openai:" + c.name, Kind: Encoder,
		Aliases: []string{c.name, strings.TrimSuffix(c.file, ".pt"), "clip:" + c.name},
		What:    "CLIP " + c.name + ", image and text towers", Licence: "MIT",
		Origin: "https://github.com/openai/CLIP", Folder: "openai",
		Files: []File{{Name: c.file, URL: "https://openaipublic.azureedge.net/clip/models/" + c.sha256 + "/" + c.file,
			SHA256: c.sha256, Size: c.size}},
	}
}

// hubModels are GPT-2's sizes under the names that transformers downloads them by; the hub has moved them to the
// account owner since.
var hubModels = []hubModel{
	{"distilgpt2", "distilbert", "Apache-2.0", "6 layers, 82 million parameters",
		"e1ff18884359fe8beb795a5f414feb85a6ce3d929ad019c0d958c039d2b94a1b", 352824413},
	{"gpt2", "openai-community", "MIT", "12 layers, 124 million parameters",
		"248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707", 548105171},
	{"gpt2-medium", "openai-community", "MIT", "24 layers, 355 million parameters", "", 0},
	{"gpt2-large", "openai-community", "MIT", "36 layers, 774 million parameters", "", 0},
	{"gpt2-xl", "openai-community", "MIT", "48 layers, 1.6 billion parameters", "", 0},
}

type hubModel struct {
	name, owner, licence, what, sha256 string
	size                               int64
}

func (m hubModel) entry() Entry {
	e := Entry{
		Name: m.name, Kind: LanguageModel, Aliases: []string{"hf:" + m.name, m.owner + "/" + m.name},
		What: "GPT-2, " + m.what, Licence: m.licence,
		Origin: DefaultHubURL + "/" + m.name, Repo: m.name, repos: []string{m.owner + "/" + m.name},
	}
	// 1042301 and 456318 bytes: the vocabulary is the same for all sizes.
	for _, f := range []File{{Name: "config.json"}, {Name: "merges.txt", Size: 456318},
		{Name: "vocab.json", Size: 1042301}, {Name: "model.safetensors", SHA256: m.sha256, Size: m.size}} {
		f.URL = hubAddress(DefaultHubURL, m.name, "main", f.Name)
		e.Files = append(e.Files, f)
	}
	return e
}

func hubAddress(base, repo, revision, file string) string {
	return strings.TrimSuffix(base, "/") + "/" + path.Join(repo, "resolve", revision, file)
}

// blip is what LAVIS 1.0.2 loads as blip_feature_extractor, type base.
func blip() Entry {
	const file = "model_base_capfilt_large.pth"
	return Entry{
		Name: "blip:base", Kind: Encoder, Aliases: []string{"blip", "blip-base",
			file}, What: "BLIP base with CapFilt-L, LAVIS's blip_feature_extractor", Licence: "BSD-3-Clause",
		Origin: "https://github.com/salesforce/BLIP", Folder: "blip",
		Files: []File{{Name: file, URL: "https://storage.googleapis.com/sfr-vision-language-research/BLIP/models/" + file}},
	}
}

// decoders are the captioners that download_pretrained of clip-text-decoder fetches: one for 1.0, 1.1, 1.2 to 1.3, and
// 1.4 each. They lie on Google Drive, without a checksum.
var decoders = []decoder{
	{"1.0", "1CdfPg223lP0zYu7a3uPEZ0weCu6HnL73", []string{"1.0.0"}},
	{"1.1", "1bYAog3ZFLiBZEPRLqBcy8J-gXp7NTPAY", []string{"1.1.0"}},
	{"1.2", "1oXPhrXMqRO_Q1UFe4NAs_RvDXR1AGoL2", []string{"1.2.0", "1.3", "1.3.0"}},
	{"1.4", "1bEAyV2279C4V4iYMaJahREiM58vjy6G1", []string{"1.4.0", "1.4.1", "1.4.2", "1.4.3", "1.4.4"}},
}

type decoder struct {
	version, id string
	versions    []string
}

// what names the versions that download it.
func (d decoder) what() string {
	if last := d.versions[len(d.versions)-1]; last != d.versions[0] {
		return d.versions[0] + " to " + last
	}
	return d.versions[0]
}

func (d decoder) entry() Entry {
	const family = "clip-text-decoder"
	e := Entry{
		Name: family + ":" + d.version, Kind: Captioner,
		What:    "the captioner that " + family + " " + d.what() + " downloads",
		Licence: "MIT", Origin: "https://github.com/fkodom/clip-text-decoder", Folder: family + "/" + d.version,
		Files: []File{{Name: "model.zip", URL: "https://" + transfer.DriveHost + "/download?id=" + d.id +
			"&export=download&confirm=t", mirror: transfer.DriveHost + "/" + d.id}},
	}
	for _, v := range d.versions {
		e.Aliases = append(e.Aliases, family+":"+v)
	}
	if d.version == "1.4" {
		e.Aliases = append(e.Aliases, family)
	}
	return e
}

// clipCaps are the captioners of ClipCap's authors: a mapping by an MLP, and GPT-2 tuned with it. They lie on Google
// Drive, without a checksum. Their encoder is CLIP ViT-B/32.
var clipCaps = []clipCap{
	{"coco", "COCO", "1IdaBtMSvtyzF0ByVaBHtvM0JYSXRExRX"},
	{"conceptual", "Conceptual Captions", "14pXWwB4Zm82rsDdvbGguLfx9F8aM7ovT"},
}

type clipCap struct{ name, data, id string }

func (c clipCap) entry() Entry {
	return Entry{
		Name: "clipcap:" + c.name, Kind: Captioner, What: "ClipCap trained on " + c.data + ", with --encoder ViT-B/32",
		Licence: "MIT", Origin: "https://github.com/rmokady/CLIP_prefix_caption", Folder: "clipcap",
		Files: []File{{Name: c.name + "_weights.pt", URL: "https://" + transfer.DriveHost + "/download?id=" + c.id +
			"&export=download&confirm=t", mirror: transfer.DriveHost + "/" + c.id}},
	}
}

// meteor is the Java program of METEOR 1.5, of which only the tables of words are read, and its paraphrases, out of the
// source of the Python package pycocoevalcap 1.2: its jar, which differs from the authors' own, is what coco-caption's
// scores come from. Nobody vouches for the archive's own bytes; the checksums are those of the two files in the
// published package.
func meteor() Entry {
	const source = "https://github.com/salaniz/pycocoevalcap"
	return Entry{
		Name: "meteor", Kind: Data, What: "METEOR 1.5's synonyms and paraphrases, from pycocoevalcap 1.2",
		Licence: "LGPL, WordNet",
		Origin:  source, Folder: "meteor",
		Files: []File{{Name: "pycocoevalcap-1.2.zip", URL: source + "/archive/refs/tags/v1.2.zip"}},
		Members: []Member{
			{"pycocoevalcap-1.2/meteor/meteor-1.5.jar", "meteor-1.5.jar",
				"1e57b4c72c0830ebe68558f1c799a624e96cbc1b6045c9f6330e26dcff6eafc2", 6318693},
			{"pycocoevalcap-1.2/meteor/data/paraphrase-en.gz", "data/paraphrase-en.gz",
				"c147ac7d2c91f2fbb3ad31e4b352235061eb83145e0434daf217ee9ca5975f48", 61813011},
		},
	}
}
