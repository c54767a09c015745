// Package published finds published weights and data by their names, and fetches what is not here while it shows how
// far it is.
package published

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/models/checkpoint"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
	"captioner/weights/store"
)

// Find puts a file in the place of the name of published weights, fetched where it is not here. What is neither is
// left: opening it says that there is no such file.
func Find(ctx context.Context, con *console.Console, use checkpoint.Use, path *string) error {
	if *path == "" {
		return nil
	}
	if _, err := os.Stat(*path); err == nil {
		return nil
	}
	found, err := Locate(ctx, con, use, *path)
	if err == nil && found != "" {
		*path = found
	}
	return err
}

// Missing says whether a name is one of published weights that are not here and would be fetched, and how large they
// are; 0 where that is not known.
func Missing(con *console.Console, name string) (size int64, missing bool) {
	if name == "" {
		return 0, false
	}
	if _, err := os.Stat(name); err == nil {
		return 0, false
	}
	if lite, ok := findLite(name); ok {
		return lite.size, !lite.here()
	}
	if ref, ok := repository(name); ok {
		_, err := hereRepository(con, name, ref)
		return 0, err != nil
	}
	entry, err := store.Find(name)
	if err != nil {
		return 0, false
	}
	if _, err := Here(con, name); err == nil {
		return 0, false
	}
	for _, f := range entry.Files {
		size += f.Size
	}
	return size, true
}

// Options are what the flags of weights list and weights fetch say.
type Options struct {
	Cache, Mirror string
	Offline       bool
	Names         []string
}

// Flags are the flags that set o.
func (o *Options) Flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cache",
			Usage: "`FOLDER` for what is fetched; models of the Hugging Face hub lie in HF_HOME " +
				"instead", Destination: &o.Cache, TakesFile: true},
		&cli.StringFlag{Name: "mirror", Usage: "`URL` or folder that holds HOST/PATH of each address, as wget -x leaves it",
			Destination: &o.Mirror, TakesFile: true},
		&cli.BoolFlag{Name: "offline", Usage: "use no network, as HF_HUB_OFFLINE does", Destination: &o.Offline},
	}
}

// Open makes the store that the variables describe, with what the flags say instead.
func Open(con *console.Console, o Options) (*store.Store, *fetching, error) {
	so, f, err := settings(con, o)
	if err != nil {
		return nil, nil, err
	}
	s, err := store.New(so)
	return s, f, err
}

func settings(con *console.Console, o Options) (store.Options, *fetching, error) {
	so, err := store.FromEnvironment(os.Getenv)
	if err != nil {
		return so, nil, err
	}
	if o.Cache != "" {
		so.Cache = o.Cache
	}
	if o.Mirror != "" {
		so.Mirror = o.Mirror
	}
	so.Offline = so.Offline || o.Offline
	f := &fetching{con: con}
	so.Progress, so.Check = f.progress, checkFormat
	so.Notice = func(text string) { con.Term.Log.Warn(text) }
	return so, f, nil
}

// checkFormat says whether a file that nobody vouches for is what its entry says.
func checkFormat(path, format string) error {
	if format == "safetensors" {
		f, err := safetensors.Open(path)
		if err != nil {
			return err
		}
		return f.Close()
	}
	f, err := pickle.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// Fetch returns the file, or the folder, of published weights. What is not here is fetched first, with its progress on
// standard error.
func Fetch(ctx context.Context, con *console.Console, name string) (string, error) {
	s, f, err := Open(con, Options{})
	if err != nil {
		return "", err
	}
	defer f.Finish()
	return s.Get(ctx, name)
}

// fetching shows how far a fetch is, file by file.
type fetching struct {
	con *console.Console

	mu      sync.Mutex
	file    string
	current *console.Progress // of file
}

func (f *fetching) progress(g store.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil || g.File != f.file {
		f.file, f.current = g.File, console.NewTransfer(f.con.Term, g.File)
	}
	f.current.Set(g.Done, g.Total)
}

// Finish takes the bar away.
func (f *fetching) Finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		f.current.Finish()
	}
	f.current = nil
}

// Here returns the path of published weights that have been fetched; other names are paths.
func Here(con *console.Console, name string) (string, error) {
	if _, err := os.Lstat(name); err == nil {
		return name, nil
	}
	if name == Demo {
		return "", nil
	}
	if ref, ok := repository(name); ok {
		return hereRepository(con, name, ref)
	}
	if l, ok := findLite(name); ok {
		if path, err := l.path(); err == nil && l.here() {
			return path, nil
		}
		return "", console.WithHint(fmt.Errorf("%s is not here", name), "\"captioner weights fetch %s\" fetches it", name)
	}
	if _, err := store.Find(name); err != nil {
		return name, nil
	}
	s, _, err := Open(con, Options{})
	if err != nil {
		return "", err
	}
	return s.Path(name)
}

// Locate returns the path of a file or folder, or of published weights by their name, which are fetched first. "demo"
// is the built-in model, and has no path. What cannot be used is refused before it is fetched.
func Locate(ctx context.Context, con *console.Console, use checkpoint.Use, name string) (string, error) {
	if _, err := os.Lstat(name); err == nil {
		return name, nil
	}
	if name == Demo {
		return "", nil
	}
	if lite, ok := findLite(name); ok {
		return lite.fetch(ctx, con)
	}
	if _, err := store.Find(name); err == nil {
		return Fetch(ctx, con, name)
	}
	if ref, ok := repository(name); ok {
		return fetchRepository(ctx, con, use, name, ref)
	}
	return name, nil // opening it says what is wrong
}
