package hub_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"captioner/weights/hub"
	"captioner/weights/hub/hubtest"
	"captioner/weights/transfer"
)

const repo = "Some-Org/some.captioner"

// bytesOf is content that no one sniffs as text.
func bytesOf(seed byte, n int) []byte {
	b := bytes.Repeat([]byte{seed, 0x80, 2, 0xff}, n/4)
	copy(b, "\x80\x02}q")
	return b
}

// captionerFiles are those of a repository: what is read, and what is not.
func captionerFiles() map[string][]byte {
	return map[string][]byte{
		".gitattributes": []byte("*.bin filter=lfs\n"), "README.md": []byte("# a model\n"),
		"config.json": []byte(`{"model_type": "blip"}`), "preprocessor_config.json": []byte("{}"),
		"tokenizer.json": []byte(`{"version": "1.0"}`), "vocab.txt": []byte("[PAD]\n"),
		"model.safetensors": bytesOf(1, 400_000), "pytorch_model.bin": bytesOf(2, 300_000),
		"tf_model.h5": bytesOf(3, 1000), "flax_model.msgpack": bytesOf(4, 1000),
		"onnx.onnx": bytesOf(5, 1000), "training_args.bin": bytesOf(6, 100),
	}
}

func newHub(t *testing.T) *hubtest.Hub {
	t.Helper()
	h := hubtest.New()
	t.Cleanup(h.Close)
	return h
}

// open is a hub over a stand-in, with a cache of its own that does not wait long.
func open(t *testing.T, h *hubtest.Hub, change func(*hub.Options)) (*hub.Hub, string) {
	t.Helper()
	o := hub.Options{Cache: filepath.Join(t.TempDir(), "hub"), Endpoint: h.URL, Transfer: transfer.Settings{
		Attempts: 3, Backoff: time.Millisecond, Stall: 600 * time.Millisecond,
	}}
	if change != nil {
		change(&o)
	}
	got, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return got, o.Cache
}

func ref(t *testing.T, name string) hub.Ref {
	t.Helper()
	r, ok := hub.Parse(name)
	if !ok {
		t.Fatalf("%q is no name of the hub", name)
	}
	return r
}

// tree lists what is below a folder: files, and links with their targets.
func tree(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if to, lerr := os.Readlink(path); lerr == nil {
			name += " -> " + to
		}
		all = append(all, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFetch(t *testing.T) {
	h := newHub(t)
	files := captionerFiles()
	commit := h.Push(repo, files)
	got, cache := open(t, h, nil)
	vetted := false
	m, err := got.Fetch(t.Context(), ref(t, repo), func(r hub.Repository) error {
		vetted = true
		if b, err := os.ReadFile(filepath.Join(r.Folder, "config.json")); err != nil || len(b) == 0 {
			t.Errorf("vet: config.json: got %d bytes, %v", len(b), err)
		}
		if len(r.Files) != len(files) || !r.Listed {
			t.Errorf("vet: got the files %q, want all %d", r.Files, len(files))
		}
		for _, q := range h.Requests() {
			if q.Place == hubtest.AtCDN {
				t.Error("weights were asked for before vet")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "models--Some-Org--some.captioner")
	if want := filepath.Join(folder, "snapshots", commit); m.Path != want || m.Commit != commit || !m.Fetched || !vetted {
		t.Errorf("got %+v, want the path %q", m, want)
	}
	var want []string
	for _, name := range []string{"config.json", "preprocessor_config.json", "tokenizer.json", "vocab.txt",
		"model.safetensors"} {
		tag := hubtest.GitName(files[name])
		if name == "model.safetensors" {
			tag = hubtest.SHA256(files[name])
		}
		want = append(want, "blobs/"+tag, "snapshots/"+commit+"/"+name+" -> ../../blobs/"+tag)
	}
	want = append(want, "refs/main")
	seen := slices.DeleteFunc(tree(t, folder), func(s string) bool { return strings.HasPrefix(s, ".no_exist/") })
	slices.Sort(want)
	if slices.Sort(seen); !slices.Equal(seen, want) {
		t.Errorf("the cache: got\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
	for name, file := range files {
		b, err := os.ReadFile(filepath.Join(m.Path, name))
		if err == nil && !bytes.Equal(b, file) {
			t.Errorf("%s has another content", name)
		}
	}

	h.Requests()
	again, err := got.Get(t.Context(), ref(t, repo), nil)
	if err != nil || again.Path != m.Path || len(h.Requests()) != 0 {
		t.Errorf("a second time: got %+v, %v, want the same without a request", again, err)
	}
	checked, err := got.Fetch(t.Context(), ref(t, repo), nil)
	if err != nil || checked.Fetched || len(checked.Files) != 5 {
		t.Errorf("fetched again: got %+v, %v, want five files that were here", checked, err)
	}
}

func TestRevisions(t *testing.T) {
	h := newHub(t)
	files := captionerFiles()
	old := h.Push(repo, files)
	h.Name(repo, "v1.0", old)
	h.Name(repo, "refs/pr/2", old)
	files["config.json"] = []byte(`{"model_type": "git"}`)
	newest := h.Push(repo, files)
	got, cache := open(t, h, nil)
	for name, commit := range map[string]string{
		repo: newest, repo + "@main": newest, repo + "@v1.0": old, repo + "@refs/pr/2": old, "hf:" + repo + "@" + old: old,
	} {
		m, err := got.Get(t.Context(), ref(t, name), nil)
		if err != nil || m.Commit != commit {
			t.Errorf("%s: got the commit %q, %v, want %q", name, m.Commit, err, commit)
		}
	}
	blobs, err := os.ReadDir(filepath.Join(cache, "models--Some-Org--some.captioner", "blobs"))
	if err != nil || len(blobs) != 6 {
		t.Errorf("got %d blobs, %v, want 6: what two commits share is fetched once", len(blobs), err)
	}
	// main moves: Get takes what is here, Fetch what is new.
	files["vocab.txt"] = []byte("[UNK]\n")
	moved := h.Push(repo, files)
	if m, err := got.Get(t.Context(), ref(t, repo), nil); err != nil || m.Commit != newest {
		t.Errorf("after a push: Get got %q, %v, want %q", m.Commit, err, newest)
	}
	if m, err := got.Fetch(t.Context(), ref(t, repo), nil); err != nil || m.Commit != moved {
		t.Errorf("after a push: Fetch got %q, %v, want %q", m.Commit, err, moved)
	}
}

func TestWhichWeights(t *testing.T) {
	index := func(shards ...string) []byte {
		var m []string
		for i, s := range shards {
			m = append(m, `"t`+string(rune('0'+i))+`": "`+s+`"`)
		}
		return []byte(`{"weight_map": {` + strings.Join(m, ", ") + `}}`)
	}
	config, w := []byte(`{"model_type": "blip"}`), bytesOf(9, 5000)
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		want  []string
		file  string // the path is that of this file
		err   string
	}{
		{
			name:  "PyTorch alone",
			files: map[string][]byte{"config.json": config, "pytorch_model.bin": w, "x.md": nil},
			want:  []string{"config.json", "pytorch_model.bin"},
		},
		{
			name: "shards",
			files: map[string][]byte{"config.json": config,
				"model.safetensors.index.json":     index("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
				"model-00001-of-00002.safetensors": w, "model-00002-of-00002.safetensors": w, "other.safetensors": w},
			want: []string{"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
				"model.safetensors.index.json"},
		},
		{
			name: "OpenCLIP",
			files: map[string][]byte{"open_clip_config.json": config, "open_clip_pytorch_model.bin": w,
				"open_clip_model.safetensors": w, "epoch_1.pt": w},
			want: []string{"open_clip_config.json", "open_clip_model.safetensors"},
		},
		{
			name:  "a captioner's own model",
			files: map[string][]byte{"README.md": nil, "mine.safetensors": w},
			want:  []string{"mine.safetensors"}, file: "mine.safetensors",
		},
		{
			name: "a shard missing",
			files: map[string][]byte{"config.json": config, "model-00001-of-00002.safetensors": w,
				"model.safetensors.index.json": index("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")},
			err: `found model.safetensors.index.json, which names 2 shards, without model-00002-of-00002.safetensors`,
		},
		{
			name:  "no weights",
			files: map[string][]byte{"config.json": config, "tf_model.h5": w},
			err:   `found no weights among config.json, tf_model.h5, want model.safetensors`,
		},
		{
			name: "a shard that leaves its folder",
			files: map[string][]byte{"config.json": config, "model.safetensors.index.json": index("../../x"),
				"model-00001-of-00002.safetensors": w},
			err: `found the shard "../../x", want the name of a file beside it`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub(t)
			h.Push(repo, tt.files)
			got, _ := open(t, h, nil)
			m, err := got.Get(t.Context(), ref(t, repo), nil)
			if tt.err != "" {
				oneLine(t, err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			folder := m.Path
			if tt.file != "" {
				folder = filepath.Dir(m.Path)
			}
			if tt.file != "" && filepath.Base(m.Path) != tt.file {
				t.Errorf("got the path %q, want that of %q", m.Path, tt.file)
			}
			var names []string
			for _, line := range tree(t, folder) {
				name, _, _ := strings.Cut(line, " ")
				names = append(names, name)
			}
			if !slices.Equal(names, tt.want) {
				t.Errorf("got %q, want %q", names, tt.want)
			}
			if here, ok := got.Here(ref(t, repo)); !ok || here != m.Path {
				t.Errorf("Here: got %q, %v, want %q", here, ok, m.Path)
			}
		})
	}
}

// oneLine wants an error of one line that holds a text, and the hint beside it another.
func oneLine(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with %q", err, want)
	}
	var hinted interface{ Hint() string }
	if err != nil && !strings.Contains(err.Error(), "the shard") && (!errors.As(err, &hinted) || hinted.Hint() == "") {
		t.Errorf("%v: found no hint", err)
	}
}

func TestRefused(t *testing.T) {
	const gone = "old/name"
	for _, tt := range []struct {
		name   string
		ref    string
		token  string
		access hubtest.Access
		faults []string
		change func(*hub.Options)
		err    error // nil: it works
		text   string
		hint   string
	}{
		{name: "missing", ref: "nobody/nothing", err: hub.ErrRepository, text: "found no such repository, or it is private",
			hint: "check the spelling; of a private repository set HF_TOKEN"},
		{name: "missing, with a token", ref: "nobody/nothing", token: "good", err: hub.ErrRepository,
			hint: "the account of the token in HF_TOKEN may read it"},
		{name: "private", access: hubtest.Access{Private: true}, err: hub.ErrRepository, hint: "set HF_TOKEN"},
		{name: "private, with a token", access: hubtest.Access{Private: true}, token: "good"},
		{name: "gated", access: hubtest.Access{Gated: true}, err: hub.ErrGated, text: "gated",
			hint: "agree to its terms at https://huggingface.co/" + repo + ", then set HF_TOKEN"},
		{name: "gated, with a token that may not", access: hubtest.Access{Gated: true}, token: "poor", err: hub.ErrGated,
			hint: "with the account of the token in HF_TOKEN"},
		{name: "gated, with a token that may", access: hubtest.Access{Gated: true}, token: "good"},
		{name: "a token that is none", token: "bad", err: hub.ErrToken, text: "refuses the token in HF_TOKEN",
			hint: "expired"},
		{name: "disabled", access: hubtest.Access{Disabled: true}, err: transfer.ErrDenied, text: "disabled",
			hint: "take another"},
		{name: "no such revision", ref: repo + "@v9", err: hub.ErrRevision, text: `found no revision "v9"`,
			hint: "/tree/main lists branches and tags"},
		{name: "renamed", ref: gone, token: "good"},
		{name: "offline", change: func(o *hub.Options) { o.Transfer.Offline = true }, err: transfer.ErrOffline,
			text: "no network may be used", hint: "copy the folder \"models--Some-Org--some.captioner\""},
		{name: "no server", change: func(o *hub.Options) { o.Endpoint = "http://127.0.0.1:1" }, err: transfer.ErrNetwork,
			text: "connection refused", hint: "check the network"},
		{name: "overloaded", faults: slices.Repeat([]string{"hub:status=503"}, 3), err: transfer.ErrServer,
			text: "503 Service Unavailable", hint: "run the same again later"},
		{name: "overloaded for a while", faults: []string{"hub:status=503", "hub:status=500"}},
		{name: "too many requests", faults: slices.Repeat([]string{"hub:status=429"}, 3), err: transfer.ErrServer,
			text: "answers no more requests for a while", hint: "with HF_TOKEN set the limit is higher"},
		{name: "no list", faults: []string{"hub:match=/tree/,status=404"}},
		{name: "cut", faults: []string{"cdn:cut=100000", "cdn:cut=200000"}},
		{name: "cut and no more", faults: []string{"cdn:cut=1000", "cdn:status=500", "cdn:status=500", "cdn:status=500"},
			err: transfer.ErrServer, text: "500", hint: "it goes on where it was"},
		{name: "stalled", faults: slices.Repeat([]string{"cdn:stall=5s"}, 3), err: transfer.ErrStalled,
			text: "no byte in 600ms", hint: "it goes on where it was"},
		{name: "stalled once", faults: []string{"cdn:cut=100000,stall=5s"}},
		{name: "spoilt", faults: []string{"cdn:spoil"}, err: transfer.ErrChecksum, text: "SHA256 ", hint: "nothing was kept"},
		{name: "spoilt after a cut", faults: []string{"cdn:cut=100000", "cdn:spoil"}},
		{name: "a login page", faults: []string{"cdn:page"}, err: transfer.ErrPage,
			text: `the web page "Sign in to the network"`, hint: "login page"},
		{name: "a disk too small", change: func(o *hub.Options) {
			o.Transfer.Free = func(string) (int64, bool) { return 399_999, true }
		}, err: transfer.ErrSpace, text: "399999 bytes are free in ", hint: "set HF_HOME to a folder on another disk"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub(t)
			h.Push(repo, captionerFiles())
			h.Restrict(repo, tt.access)
			h.Restrict(gone, hubtest.Access{Moved: repo})
			h.Token("good", hubtest.Everything)
			h.Token("poor", hubtest.Nothing)
			for _, text := range tt.faults {
				place, f, err := hubtest.ParseFault(text)
				if err != nil {
					t.Fatal(err)
				}
				h.Fault(place, f)
			}
			got, _ := open(t, h, func(o *hub.Options) {
				if o.Transfer.Token = tt.token; tt.token != "" {
					o.TokenOf = "HF_TOKEN"
				}
				if tt.change != nil {
					tt.change(o)
				}
			})
			name := tt.ref
			if name == "" {
				name = repo
			}
			m, err := got.Fetch(t.Context(), ref(t, name), nil)
			for _, q := range h.Requests() {
				if q.Place == hubtest.AtCDN && q.Token != "" {
					t.Error("the token went to another host")
				}
				if q.Place == hubtest.AtHub && q.Token != tt.token {
					t.Errorf("the hub got the token %q, want %q", q.Token, tt.token)
				}
			}
			if tt.err == nil {
				if err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(filepath.Join(m.Path, "model.safetensors"))
				if err != nil || !bytes.Equal(b, captionerFiles()["model.safetensors"]) {
					t.Errorf("got %d bytes, %v, want the weights", len(b), err)
				}
				return
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want one that is %v", err, tt.err)
			}
			oneLine(t, err, tt.text)
			var hinted interface{ Hint() string }
			if errors.As(err, &hinted) && !strings.Contains(hinted.Hint(), tt.hint) {
				t.Errorf("got the hint %q, want one with %q", hinted.Hint(), tt.hint)
			}
		})
	}
}

// TestGoesOn cuts a fetch, and looks whether the next one asks for the rest alone; also of what Python left.
func TestGoesOn(t *testing.T) {
	h := newHub(t)
	h.Push(repo, captionerFiles())
	got, cache := open(t, h, func(o *hub.Options) { o.Transfer.Attempts = 1 })
	h.Fault(hubtest.AtCDN, hubtest.Fault{Cut: 150_000})
	h.Fault(hubtest.AtCDN, hubtest.Fault{Status: 500})
	if _, err := got.Get(t.Context(), ref(t, repo), nil); !errors.Is(err, transfer.ErrServer) {
		t.Fatalf("got %v, want ErrServer", err)
	}
	weights := captionerFiles()["model.safetensors"]
	part := filepath.Join(cache, "models--Some-Org--some.captioner/blobs", hubtest.SHA256(weights)+".incomplete")
	if b, err := os.ReadFile(part); err != nil || !bytes.Equal(b, weights[:len(b)]) || len(b) == 0 {
		t.Fatalf("got %d bytes, %v, want the beginning under the name that huggingface_hub gives it", len(b), err)
	}
	if err := os.WriteFile(part, weights[:200_000], 0o666); err != nil { // as another program may leave it
		t.Fatal(err)
	}
	h.Requests()
	if _, err := got.Get(t.Context(), ref(t, repo), nil); err != nil {
		t.Fatal(err)
	}
	var ranges []string
	for _, q := range h.Requests() {
		if q.Place == hubtest.AtCDN {
			ranges = append(ranges, q.Range)
		}
	}
	if !slices.Equal(ranges, []string{"bytes=200000-"}) {
		t.Errorf("asked for the ranges %q, want the rest alone", ranges)
	}
	if hub.Regular(part) {
		t.Error("the part is still there")
	}
}

// TestVetRefuses looks whether a refused repository costs no weights.
func TestVetRefuses(t *testing.T) {
	h := newHub(t)
	h.Push(repo, captionerFiles())
	got, _ := open(t, h, nil)
	no := errors.New("no")
	if _, err := got.Get(t.Context(), ref(t, repo), func(hub.Repository) error { return no }); !errors.Is(err, no) {
		t.Errorf("got %v, want vet's error", err)
	}
	for _, q := range h.Requests() {
		if q.Place == hubtest.AtCDN {
			t.Errorf("asked for %s", q.Path)
		}
	}
}

// TestFindsPython takes what another program has fetched: without markers of what is missing the hub is asked, and
// where it cannot be, what is here will do.
func TestFindsPython(t *testing.T) {
	h := newHub(t)
	files := captionerFiles()
	commit := h.Push(repo, files)
	got, cache := open(t, h, nil)
	folder := filepath.Join(cache, "models--Some-Org--some.captioner")
	write := func(name string, b []byte) {
		t.Helper()
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, b, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	write("refs/main", []byte(commit))
	write("snapshots/"+commit+"/config.json", files["config.json"])
	write("snapshots/"+commit+"/pytorch_model.bin", files["pytorch_model.bin"])
	offline, _ := open(t, h, func(o *hub.Options) { o.Cache, o.Transfer.Offline = cache, true })
	if m, err := offline.Get(t.Context(), ref(t, repo), nil); err != nil || m.Commit != commit {
		t.Errorf("offline: got %+v, %v", m, err)
	}
	m, err := got.Get(t.Context(), ref(t, repo), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range h.Requests() {
		if q.Place == hubtest.AtCDN {
			t.Errorf("fetched %s, though weights were here", q.Path)
		}
	}
	if !hub.Regular(filepath.Join(m.Path, "tokenizer.json")) {
		t.Error("the tokenizer was not fetched")
	}
	if names := got.Repositories(); !slices.Equal(names, []string{repo}) {
		t.Errorf("Repositories: got %q", names)
	}
}

// TestDamage looks whether what was changed in the cache is found by Fetch, and left alone.
func TestDamage(t *testing.T) {
	h := newHub(t)
	h.Push(repo, captionerFiles())
	got, _ := open(t, h, nil)
	m, err := got.Get(t.Context(), ref(t, repo), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.Path, "model.safetensors")
	if err := os.WriteFile(path, []byte("other"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = got.Fetch(t.Context(), ref(t, repo), nil)
	var damaged *transfer.DamagedError
	if !errors.As(err, &damaged) || damaged.Path != path {
		t.Errorf("got %v, want a DamagedError of %q", err, path)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "other" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
}

// TestTwoAtOnce fetches the same repository twice at the same time.
func TestTwoAtOnce(t *testing.T) {
	h := newHub(t)
	h.Push(repo, captionerFiles())
	h.Fault(hubtest.AtCDN, hubtest.Fault{Slow: 200 * time.Millisecond})
	one, cache := open(t, h, nil)
	two, _ := open(t, h, func(o *hub.Options) { o.Cache = cache })
	errs := make(chan error, 2)
	for _, got := range []*hub.Hub{one, two} {
		go func() {
			_, err := got.Get(context.Background(), hub.Ref{Repo: repo, Revision: "main"}, nil)
			errs <- err
		}()
	}
	if err := errors.Join(<-errs, <-errs); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, q := range h.Requests() {
		if q.Place == hubtest.AtCDN {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the weights were asked for %d times, want once", n)
	}
}

func TestInterrupted(t *testing.T) {
	h := newHub(t)
	h.Push(repo, captionerFiles())
	h.Fault(hubtest.AtCDN, hubtest.Fault{Cut: 1000, Stall: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	got, _ := open(t, h, func(o *hub.Options) {
		o.Transfer.Progress = func(p transfer.Progress) {
			if p.File == "model.safetensors" {
				cancel()
			}
		}
	})
	if _, err := got.Get(ctx, ref(t, repo), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestMirrorFolder fetches from a folder that holds HOST/PATH of each address: it has no lists, no tags, no commits.
func TestMirrorFolder(t *testing.T) {
	mirror := t.TempDir()
	folder := filepath.Join(mirror, "huggingface.co", repo, "resolve", "main")
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"open_clip_config.json", "vocab.txt", "pytorch_model.bin"} {
		if err := os.WriteFile(filepath.Join(folder, name), captionerFiles()["vocab.txt"], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := open(t, newHub(t), func(o *hub.Options) { o.Transfer.Mirror, o.Transfer.Offline = mirror, true })
	m, err := got.Fetch(t.Context(), ref(t, repo), nil)
	if err != nil || len(m.Files) != 3 {
		t.Fatalf("got %+v, %v, want three files", m, err)
	}
	again, err := got.Get(t.Context(), ref(t, repo), nil)
	if err != nil || again.Path != m.Path {
		t.Errorf("a second time: got %+v, %v, want %q", again, err, m.Path)
	}
	_, err = got.Get(t.Context(), ref(t, "other/one"), nil)
	if !errors.Is(err, hub.ErrRepository) {
		t.Errorf("got %v, want ErrRepository", err)
	}
	oneLine(t, err, "found no such repository")
}

func TestParse(t *testing.T) {
	for name, want := range map[string]string{
		"Salesforce/blip-image-captioning-base": "Salesforce/blip-image-captioning-base main",
		"a/b@v1":                                "a/b v1",
		"a/b@refs/pr/12":                        "a/b refs/pr/12",
		"hf:a/b":                                "a/b main",
		"hf:gpt2@607a30d":                       "gpt2 607a30d",
		"hf:a/b.bin":                            "a/b.bin main",
		"https://huggingface.co/a/b":            "a/b main",
		"https://huggingface.co/a/b/tree/dev":   "a/b dev",
		"gpt2":                                  "",
		"a/b/c":                                 "",
		"./a/b":                                 "",
		"../b":                                  "",
		"/a/b":                                  "",
		"a/b.safetensors":                       "",
		"a/b@":                                  "",
		"a/b@../x":                              "",
		"a/b--c":                                "",
		"a/..":                                  "",
		"a b/c":                                 "",
		"ViT-L/14@336px":                        "ViT-L/14 336px", // a published name is looked up before
		"a/" + strings.Repeat("x", 95):          "",
		"a\\b/c":                                "",
		"a/b\n":                                 "",
		"hf:":                                   "",
		"hf:a/b@" + strings.Repeat("0", 40) + "\x00": "",
	} {
		got, ok := hub.Parse(name)
		if s := got.Repo + " " + got.Revision; ok != (want != "") || ok && s != want {
			t.Errorf("Parse(%q): got %q, %v, want %q", name, s, ok, want)
		}
	}
}

func TestNameOf(t *testing.T) {
	for path, want := range map[string]string{
		"/h/models--a--b/snapshots/0123":                 "a/b",
		"/h/models--gpt2/snapshots/0123":                 "gpt2",
		"/h/models--a--b/snapshots/0123/own.safetensors": "a/b",
		"/h/models--a--b/blobs/0123":                     "",
		"/home/snapshots/x":                              "",
		"model.safetensors":                              "",
	} {
		if got, ok := hub.NameOf(path); got != want && ok || ok != (want != "") {
			t.Errorf("NameOf(%q): got %q, %v, want %q", path, got, ok, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "mine")
	if err := errors.Join(os.WriteFile(file, []byte("hf_file\n"), 0o600),
		os.WriteFile(filepath.Join(home, "token"), []byte("hf_home"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		vars map[string]string
		want hub.Environment
	}{
		{"HF_HOME", map[string]string{"HF_HOME": home},
			hub.Environment{Cache: home + "/hub", Endpoint: hub.DefaultEndpoint, Token: "hf_home", TokenOf: home + "/token"}},
		{"HF_HUB_CACHE wins", map[string]string{"HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/b", "HF_HUB_CACHE": "/a"},
			hub.Environment{Cache: "/a", Endpoint: hub.DefaultEndpoint}},
		{"HUGGINGFACE_HUB_CACHE", map[string]string{"HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/b"},
			hub.Environment{Cache: "/b", Endpoint: hub.DefaultEndpoint}},
		{"XDG_CACHE_HOME", map[string]string{"XDG_CACHE_HOME": "/x"},
			hub.Environment{Cache: "/x/huggingface/hub", Endpoint: hub.DefaultEndpoint}},
		{"HF_TOKEN_PATH", map[string]string{"HF_HOME": home, "HF_TOKEN_PATH": file},
			hub.Environment{Cache: home + "/hub", Endpoint: hub.DefaultEndpoint, Token: "hf_file", TokenOf: file}},
		{"HF_TOKEN wins", map[string]string{"HF_HOME": home, "HF_TOKEN": " hf_var\n", "HF_ENDPOINT": "https://m.example"},
			hub.Environment{Cache: home + "/hub", Endpoint: "https://m.example", Token: "hf_var", TokenOf: "HF_TOKEN"}},
		{"no implicit token",
			map[string]string{"HF_HOME": home, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_OFFLINE": "yes"},
			hub.Environment{Cache: home + "/hub", Endpoint: hub.DefaultEndpoint, Offline: true}},
		{"TRANSFORMERS_OFFLINE", map[string]string{"HF_HOME": "/h", "TRANSFORMERS_OFFLINE": "1"},
			hub.Environment{Cache: "/h/hub", Endpoint: hub.DefaultEndpoint, Offline: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := hub.FromEnvironment(func(name string) string { return tt.vars[name] })
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}
