package store

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManifest(t *testing.T) {
	seen := make(map[string]string)
	for _, e := range Manifest() {
		for _, name := range append([]string{e.Name}, e.Aliases...) {
			name = strings.ToLower(name)
			if other, twice := seen[name]; twice && other != e.Name {
				t.Errorf("%q is a name of %q and of %q", name, other, e.Name)
			}
			seen[name] = e.Name
			if got, err := Find(strings.ToUpper(name)); err != nil || got.Name != e.Name {
				t.Errorf("Find(%q): got %q, %v, want %q", name, got.Name, err, e.Name)
			}
		}
		if e.Kind == "" || e.What == "" || e.Licence == "" || e.Origin == "" || len(e.Files) == 0 ||
			e.Repo == "" && e.Folder == "" {
			t.Errorf("%s: not complete: %+v", e.Name, e)
		}
		for _, f := range e.Files {
			u, err := url.Parse(f.URL)
			if err != nil || u.Scheme != "https" || u.Host == "" || f.SHA256 != "" && len(f.SHA256) != 64 {
				t.Errorf("%s: file %+v", e.Name, f)
			}
			if strings.HasPrefix(e.Name, "openai:") && !strings.Contains(f.URL, "/"+f.SHA256+"/") {
				t.Errorf("%s: the address %q does not hold the checksum %q", e.Name, f.URL, f.SHA256)
			}
		}
		for _, m := range e.Members {
			if len(m.SHA256) != 64 || m.Size == 0 || !filepath.IsLocal(filepath.FromSlash(m.To)) {
				t.Errorf("%s: member %+v", e.Name, m)
			}
		}
	}
	for name, want := range map[string]string{
		"openai:ViT-B/32": "openai:ViT-B/32", "ViT-B/32": "openai:ViT-B/32", "clip:ViT-L/14@336px": "openai:ViT-L/14@336px",
		"rn50x4":     "openai:RN50x4",
		"distilgpt2": "distilgpt2", "openai-community/gpt2": "gpt2", "blip:base": "blip:base",
		"clip-text-decoder:1.3.0": "clip-text-decoder:1.2",
		"clip-text-decoder":       "clip-text-decoder:1.4", "meteor": "meteor",
	} {
		if e, err := Find(name); err != nil || e.Name != want {
			t.Errorf("Find(%q): got %q, %v, want %q", name, e.Name, err, want)
		}
	}
	if n := len(clips); n != 9 {
		t.Errorf("%d files of CLIP, want 9", n)
	}
}

func TestUnknownName(t *testing.T) {
	for name, hint := range map[string]string{"L/14": "did you mean openai:ViT-L/14, openai:ViT-L/14@336px?",
		"nothing": `run "captioner weights list"`, "": "weights list"} {
		_, err := Find(name)
		wantMessage(t, err, "find weights ", "found no such name", hint)
	}
}

func TestIdentify(t *testing.T) {
	for sum, want := range map[string]string{
		"40D365715913C9DA98579312B702A82C18BE219CC2A73407C4526F58EBA950AF": "openai:ViT-B/32 ViT-B-32.pt",
		"1e57b4c72c0830ebe68558f1c799a624e96cbc1b6045c9f6330e26dcff6eafc2": "meteor meteor-1.5.jar", "": " ",
		strings.Repeat("0", 64): " ",
	} {
		if e, file, _ := Identify(sum); e.Name+" "+file != want {
			t.Errorf("Identify(%q): got %q %q, want %q", sum, e.Name, file, want)
		}
	}
}

// TestMissing checks what a person without a network is told, for each kind of entry.
func TestMissing(t *testing.T) {
	s := newStore(t, nil)
	for name, hint := range map[string]string{
		"ViT-B/32": `run "captioner weights fetch openai:ViT-B/32" (354 MB), or without a network download ` +
			`https://openaipublic.azureedge.net/clip/models/` +
			`40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt` +
			` elsewhere and put it at "` + s.o.Cache + `/weights/openai/ViT-B-32.pt"`,
		"distilgpt2": `copy the folder "models--distilgpt2" from the Hugging Face cache of a machine that has it to "` +
			s.o.HubCache + `/models--distilgpt2"`,
		"blip:base": "download " +
			"https://storage.googleapis.com/sfr-vision-language-research/BLIP/models/model_base_capfilt_large.pth elsewhere",
		"clip-text-decoder": "download https://drive.usercontent.google.com/download?id=1bEAyV2279C4V4iYMaJahREiM58vjy6G1",
		"meteor": `a zip archive, and put "meteor-1.5.jar" and "data/paraphrase-en.gz" of it into "` +
			s.o.Cache + `/weights/meteor"`,
	} {
		_, err := s.Path(name)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: got %v, want fs.ErrNotExist", name, err)
		}
		wantMessage(t, err, "find ", "not found at ", hint)
	}
}

func TestListAndPath(t *testing.T) {
	other := t.TempDir()
	s := newStore(t, func(o *Options) { o.Others = []string{filepath.Join(other, "none"), other} })
	here := filepath.Join(s.o.Cache, "weights/openai/RN50.pt")
	for path, size := range map[string]int64{
		here: 10, filepath.Join(s.o.Cache, "weights/openai/RN101.pt.part"): 7,
		filepath.Join(other, "ViT-B-32.pt"): 353976522, filepath.Join(other, "ViT-L-14.pt"): 5, // the last is cut off
		filepath.Join(s.o.Cache, "weights/meteor/meteor-1.5.jar"): 1, // half of an entry
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, nil, 0o666),
			os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
	}
	for _, st := range s.List() {
		want := map[string]string{"openai:RN50": here, "openai:ViT-B/32": filepath.Join(other, "ViT-B-32.pt")}[st.Name]
		if st.Path != want {
			t.Errorf("%s: got the path %q, want %q", st.Name, st.Path, want)
		}
		if path, err := s.Path(st.Name); path != want || (err == nil) != (want != "") {
			t.Errorf("Path(%q): got %q, %v, want %q", st.Name, path, err, want)
		}
		if want := map[string]int64{"openai:RN101": 7}[st.Name]; st.Part != want {
			t.Errorf("%s: got a part of %d bytes, want %d", st.Name, st.Part, want)
		}
	}
	if path, err := s.Get(t.Context(), "RN50"); path != here || err != nil {
		t.Errorf("Get: got %q, %v, want what is here as it is", path, err)
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	env := map[string]string{}
	get := func(name string) string { return env[name] }
	o, err := FromEnvironment(get)
	if err != nil || o.HubCache != "/home/x/.cache/huggingface/hub" || o.HubURL != DefaultHubURL || o.Offline ||
		strings.Join(o.Others, " ") != "/home/x/.cache/clip /home/x/.cache/torch/hub/checkpoints" {
		t.Errorf("got %+v, %v", o, err)
	}
	env = map[string]string{"CAPTIONER_CACHE": "/c", "CAPTIONER_MIRROR": "/m", "HF_HOME": "~/hf", "HF_TOKEN": " t\n",
		"HF_HUB_OFFLINE": "yes", "HF_ENDPOINT": "https://hub.example", "TORCH_HOME": "/t"}
	o, err = FromEnvironment(get)
	if err != nil || o.Cache != "/c" || o.Mirror != "/m" || o.HubCache != "/home/x/hf/hub" || o.HubToken != "t" ||
		!o.Offline || o.HubURL != "https://hub.example" || o.Others[1] != "/t/hub/checkpoints" {
		t.Errorf("got %+v, %v", o, err)
	}
	env["HF_HUB_CACHE"] = "/h"
	if o, err = FromEnvironment(get); err != nil || o.HubCache != "/h" {
		t.Errorf("got %+v, %v", o, err)
	}
	if _, err := New(o); err == nil {
		t.Error("a mirror that is not there was taken")
	}
}
