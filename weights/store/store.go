// Package store knows the published weights that captioner works with (a manifest of names, addresses, checksums and
// licences), fetches them once, and finds them again.
//
// A fetched file gets its name only after its checksum was right. Until then it is NAME.part, from which a fetch that
// was cut, or killed, goes on. A lock makes two processes fetch once. Models of the Hugging Face hub lie in the hub's
// own cache, in its layout, so that Python finds what captioner fetched and the other way round; everything else lies
// below captioner's cache folder.
//
// What is fetched is data: nothing is unpacked but the members that the manifest names, and nothing is run. A token for
// the hub is sent to the hub and to nobody else. The package reads no variable and prints nothing: see
// [FromEnvironment] and the callbacks of [Options].
package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"captioner/weights/hub"
	"captioner/weights/transfer"
)

// DefaultHubURL is where the Hugging Face hub is.
const DefaultHubURL = hub.DefaultEndpoint

// Options say where weights lie and how they are fetched.
type Options struct {
	Cache    string // captioner's cache folder; files lie in its folder weights
	HubCache string // the hub's cache, as huggingface_hub lays it out
	// folders of other programs, in which a published file may lie under its own name; they are only read
	Others   []string
	HubURL   string // the hub, or a mirror of it with the same paths
	HubToken string // sent to the host of HubURL only; may be empty
	TokenOf  string // where the token comes from, for messages
	Offline  bool   // use no network; a Mirror that is a folder is none
	Mirror   string // base URL or folder that holds HOST/PATH of each address; empty for none

	Attempts int           // tries that bring nothing new before a fetch gives up; 1 or more
	Backoff  time.Duration // before the second try; doubles up to a minute
	Stall    time.Duration // without a byte, after which a connection is given up; more than 0

	// nil: HTTP and HTTPS through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name
	Transport http.RoundTripper
	Progress  func(p Progress)  // called from the fetching goroutine, often; nil for none
	Notice    func(text string) // says in a line why a fetch waits or begins again; nil for none
	// whether a file that nobody vouches for has the structure of its format ("pytorch"); nil for no check
	Check func(path, format string) error

	free func(folder string) (int64, bool) // bytes, for tests
}

// Progress is how much of a file there is.
type Progress = transfer.Progress

// FromEnvironment returns options for the variables that getenv knows: CAPTIONER_CACHE and CAPTIONER_MIRROR, those of
// huggingface_hub, see [hub.FromEnvironment], and TORCH_HOME of PyTorch.
func FromEnvironment(getenv func(string) string) (Options, error) {
	o := Options{
		Cache: getenv("CAPTIONER_CACHE"), Mirror: getenv("CAPTIONER_MIRROR"),
		Attempts: 6, Backoff: time.Second, Stall: 30 * time.Second,
	}
	if o.Cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return o, &transfer.SettingError{Err: fmt.Errorf("find the cache folder: %w", err),
				Remedy: "set CAPTIONER_CACHE or HOME"}
		}
		o.Cache = filepath.Join(base, "captioner")
	}
	e, err := hub.FromEnvironment(getenv)
	if err != nil {
		return o, err
	}
	o.HubCache, o.HubURL, o.HubToken, o.TokenOf, o.Offline = e.Cache, e.Endpoint, e.Token, e.TokenOf, e.Offline
	if o.Others, err = pythonFolders(getenv); err != nil {
		return o, &transfer.SettingError{Err: fmt.Errorf("find the cache folders of Python: %w", err), Remedy: "set HOME"}
	}
	return o, nil
}

// pythonFolders are where clip.load puts OpenAI's files, and torch.hub what LAVIS downloads.
func pythonFolders(getenv func(string) string) ([]string, error) {
	torch := getenv("TORCH_HOME")
	if torch == "" {
		torch = filepath.Join(hub.CacheHome(getenv), "torch")
	}
	clip, err := hub.Expand("~/.cache/clip")
	if err != nil {
		return nil, err
	}
	torch, err = hub.Expand(torch)
	return []string{clip, filepath.Join(torch, "hub", "checkpoints")}, err
}

func (o Options) settings() transfer.Settings {
	return transfer.Settings{
		Token: o.HubToken, Offline: o.Offline, Mirror: o.Mirror, Attempts: o.Attempts, Backoff: o.Backoff, Stall: o.Stall,
		Transport: o.Transport, Progress: o.Progress, Notice: o.Notice, Free: o.free,
	}
}

// Hub opens what fetches any repository of the hub, with the same cache, mirror and callbacks.
func (o Options) Hub() (*hub.Hub, error) {
	return hub.New(hub.Options{Cache: o.HubCache, Endpoint: o.HubURL, TokenOf: o.TokenOf, Transfer: o.settings()})
}

// Store fetches and finds weights. It is safe for concurrent use as far as the callbacks are.
type Store struct {
	o      Options
	hub    *url.URL
	client *transfer.Client
	layout hub.Layout
}

// New checks the options. It touches neither disk nor network, but for a mirror that is a folder.
func New(o Options) (*Store, error) {
	s := &Store{o: o, layout: hub.Layout{Root: o.HubCache}}
	if o.Cache == "" || o.HubCache == "" {
		return nil, fmt.Errorf("open weights store: cache %q, hub cache %q: want folders", o.Cache, o.HubCache)
	}
	var err error
	if s.hub, err = transfer.ParseBase("HF_ENDPOINT", o.HubURL); err != nil {
		return nil, err
	}
	settings := o.settings()
	settings.TokenFor = s.hub
	s.client, err = transfer.New(settings)
	var setting *transfer.SettingError
	if err != nil && !errors.As(err, &setting) {
		err = fmt.Errorf("open weights store: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Remote prepares for reading from an address, through the mirror if one is set. It asks for nothing yet.
func (s *Store) Remote(name, url string) *Remote { return s.client.Remote(name, url) }

// Free is how many bytes may still be written to the disk of a folder; ok is false where that is unknown.
func (s *Store) Free(folder string) (n int64, ok bool) { return s.client.Free(folder) }

// Status is an entry and what of it is here.
type Status struct {
	Entry
	Path   string // of the file, or of the folder where there are several; empty if it is not here
	Part   int64  // bytes of a fetch that was cut
	Target string // where it is, or would be
}

// List returns the manifest and what of it is cached, in the manifest's order.
func (s *Store) List() []Status {
	var all []Status
	for _, e := range Manifest() {
		st := Status{Entry: e, Target: s.target(e)}
		if path, ok := s.cached(e); ok {
			st.Path, st.Target = path, path
		} else {
			st.Part = s.partSize(e)
		}
		all = append(all, st)
	}
	return all
}

// Path returns the file of an entry, or its folder where it has several, without using the network. What is not here is
// a *MissingError, which says what to fetch, from where, and where to put it.
func (s *Store) Path(name string) (string, error) {
	e, err := Find(name)
	if err != nil {
		return "", err
	}
	if path, ok := s.cached(e); ok {
		return path, nil
	}
	return "", &MissingError{Name: e.Name, URL: e.Files[len(e.Files)-1].URL, Target: s.target(e), entry: e}
}

// Get returns the file of an entry, or its folder where it has several, and fetches it first if it is not here. Unlike
// Fetch it takes what is here as it is, which costs nothing.
func (s *Store) Get(ctx context.Context, name string) (string, error) {
	path, err := s.Path(name)
	var missing *MissingError
	if !errors.As(err, &missing) {
		return path, err
	}
	r, err := s.fetch(ctx, missing.entry)
	return r.Path, err
}

// target is the path that Path returns once the entry is here. For the hub it is the folder of the model: the one
// within depends on the revision.
func (s *Store) target(e Entry) string {
	if e.Repo != "" {
		return s.layout.Folder(e.Repo)
	}
	dir := s.folder(e)
	if len(e.Members) > 0 {
		return dir
	}
	return filepath.Join(dir, e.Files[0].Name)
}

func (s *Store) folder(e Entry) string {
	return filepath.Join(s.o.Cache, "weights", filepath.FromSlash(e.Folder))
}

// cached says where an entry lies, if all of it is here. Names are given to whole files only.
func (s *Store) cached(e Entry) (string, bool) {
	if e.Repo != "" {
		return hubSnapshot(s.layout, e)
	}
	path := s.target(e)
	if len(e.Members) > 0 {
		return path, !slices.ContainsFunc(e.Members, func(m Member) bool { return !hub.Regular(s.memberPath(e, m)) })
	}
	if hub.Regular(path) {
		return path, true
	}
	f := e.Files[0]
	for _, dir := range s.o.Others {
		other := filepath.Join(dir, f.Name)
		if info, err := os.Stat(other); err == nil && info.Mode().IsRegular() && (f.Size == 0 || f.Size == info.Size()) {
			return other, true
		}
	}
	return path, false
}

func (s *Store) memberPath(e Entry, m Member) string {
	return filepath.Join(s.folder(e), filepath.FromSlash(m.To))
}

// partSize is how much of an entry an earlier fetch left.
func (s *Store) partSize(e Entry) int64 {
	var n int64
	for _, f := range e.Files {
		path := filepath.Join(s.folder(e), f.Name)
		if e.Repo != "" {
			path = hubPart(s.layout, e, f)
		}
		if info, err := os.Stat(path + transfer.PartSuffix); err == nil {
			n += info.Size()
		}
	}
	return n
}
