package published

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"captioner/cli/console"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/weights/hub"
	"captioner/weights/store"
	"captioner/weights/transfer"
)

// repository reads the name of a repository of the Hugging Face hub. What is a file or a folder here is none, and so
// are the names of the store and what is probably meant as one.
func repository(name string) (hub.Ref, bool) {
	if _, err := os.Lstat(name); err == nil {
		return hub.Ref{}, false
	}
	_, err := store.Find(name)
	var unknown *store.UnknownError
	if !errors.As(err, &unknown) || len(unknown.Near) > 0 && !strings.HasPrefix(name, hub.Prefix) {
		return hub.Ref{}, false
	}
	return hub.Parse(name)
}

// OpenHub makes what fetches repositories of the hub, as the variables describe it, with what the flags say instead.
func OpenHub(con *console.Console, o Options) (*hub.Hub, *fetching, error) {
	so, f, err := settings(con, o)
	if err != nil {
		return nil, nil, err
	}
	h, err := so.Hub()
	return h, f, err
}

// FetchRepository asks the hub for a repository, fetches what is missing of it, and checks all. ok is false where the
// name is none of a repository.
func FetchRepository(ctx context.Context, con *console.Console, o Options, name string) (m hub.Model, ok bool,
	err error) {
	ref, ok := repository(name)
	if !ok {
		return m, false, nil
	}
	h, f, err := OpenHub(con, o)
	if err != nil {
		return m, true, err
	}
	defer f.Finish()
	m, err = h.Fetch(ctx, ref, vetFor(checkpoint.AnyUse))
	return m, true, explained(name, err)
}

// fetchRepository returns the folder of a repository, and fetches what is missing of it.
func fetchRepository(ctx context.Context, con *console.Console, use checkpoint.Use, name string, ref hub.Ref) (string,
	error) {
	h, f, err := OpenHub(con, Options{})
	if err != nil {
		return "", err
	}
	defer f.Finish()
	m, err := h.Get(ctx, ref, vetFor(use))
	return m.Path, explained(name, err)
}

// vetFor refuses repositories that cannot be used for what they are wanted for, before their weights are fetched.
func vetFor(use checkpoint.Use) hub.Vet {
	return func(r hub.Repository) error {
		if err := checkpoint.Known().Vet(use, encoder.Dir(r.Folder), r.Files); err != nil {
			return &checkpoint.Error{Doing: "fetch", Path: r.Ref.String(), Err: err}
		}
		return nil
	}
}

// MissingRepositoryError says that a repository is not on this machine.
type MissingRepositoryError struct {
	Name   string
	Folder string // where it would be
}

func (e *MissingRepositoryError) Error() string {
	return fmt.Sprintf("find %q: found neither a file of that name nor a model of the hub at %q", e.Name, e.Folder)
}

// Unwrap makes the error one of fs.ErrNotExist.
func (e *MissingRepositoryError) Unwrap() error { return fs.ErrNotExist }

// Hint says how to get it.
func (e *MissingRepositoryError) Hint() string {
	return fmt.Sprintf("check the spelling; \"captioner weights fetch %s\" fetches a model of the hub", e.Name)
}

// hereRepository returns the path of a repository that was fetched.
func hereRepository(con *console.Console, name string, ref hub.Ref) (string, error) {
	h, _, err := OpenHub(con, Options{})
	if err != nil {
		return "", err
	}
	path, ok := h.Here(ref)
	if !ok {
		return "", &MissingRepositoryError{Name: name, Folder: h.Folder(ref)}
	}
	return path, nil
}

// ambiguous is an error about a repository whose name may have been meant as a path.
type ambiguous struct {
	error
	name string
}

func (e ambiguous) Unwrap() error { return e.error }

// Hint says both.
func (e ambiguous) Hint() string {
	return console.HintOf(e.error) + fmt.Sprintf("; no file or folder %q is here either", e.name)
}

// explained adds to an error that there is no file of that name, where that may be the mistake.
func explained(name string, err error) error {
	if strings.HasPrefix(name, hub.Prefix) || strings.Contains(name, "://") {
		return err
	}
	for _, may := range []error{hub.ErrRepository, transfer.ErrNetwork, transfer.ErrOffline} {
		if errors.Is(err, may) {
			return ambiguous{err, name}
		}
	}
	return err
}

// Cached are the names of the hub's repositories that are here, for completion.
func Cached(con *console.Console) []string {
	h, _, err := OpenHub(con, Options{})
	if err != nil {
		return nil
	}
	return h.Repositories()
}
