package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/published"
	"captioner/weights/store"
)

const fetchHelp = `A NAME is one of "captioner weights list", or a repository of the Hugging Face hub: ORG/NAME,
ORG/NAME@REVISION or hf:ORG/NAME. Of a repository only what captioner reads is fetched.
Files go to captioner's cache folder, models of the hub to the hub's own, where Python finds them too;
what clip.load and LAVIS have downloaded is found. A file gets its name after its checksum was right;
a fetch that was cut goes on; two processes fetch once. Variables: HF_HOME, HF_HUB_CACHE, HF_TOKEN,
HF_TOKEN_PATH, HF_ENDPOINT, HF_HUB_OFFLINE, HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE.`

func newList(con *console.Console) *cli.Command {
	o := new(published.Options)
	return &cli.Command{
		Name:        "list",
		Usage:       "list captioners worth trying, encoders and language models by name, and what of them is here",
		Description: fetchHelp,
		Flags:       o.Flags(),
		Action: func(c *cli.Context) error {
			if err := flags.NoArguments(c); err != nil {
				return err
			}
			return runList(con, *o)
		},
	}
}

func newFetch(con *console.Console) *cli.Command {
	o := new(published.Options)
	return &cli.Command{
		Name:        "fetch",
		Usage:       "fetch published weights by name, check them, and print where they are",
		ArgsUsage:   "NAME…",
		Description: fetchHelp,
		Flags:       o.Flags(),
		Action: func(c *cli.Context) error {
			if o.Names = c.Args().Slice(); len(o.Names) == 0 {
				return console.Usagef("run \"captioner weights list\" for the names",
					"weights fetch takes one name or more, found none")
			}
			return runFetch(c.Context, con, *o)
		},
	}
}

// headings are how the list calls kinds of weights.
var headings = map[store.Kind]string{
	store.Captioner:     "captioners, for --model",
	store.Encoder:       "vision encoders, for --encoder",
	store.LanguageModel: "language models, for --language-model",
	store.Data:          "data",
}

func runList(con *console.Console, o published.Options) error {
	list, err := published.List(con, o)
	if err != nil {
		return err
	}
	tab := tabwriter.NewWriter(con.Stdout, 0, 0, 2, ' ', 0)
	if !con.Options.JSON {
		fmt.Fprintln(tab, "NAME\tSIZE\tHERE\tIMAGES/S\tWHAT\tLICENCE")
	}
	var kind store.Kind
	for _, l := range list {
		if con.Options.JSON {
			if err := console.WriteJSON(con.Stdout, l); err != nil {
				return err
			}
			continue
		}
		if l.Kind != kind {
			kind = l.Kind
			fmt.Fprintf(tab, "# %s\t\t\t\t\t\n", headings[kind])
		}
		size := ""
		if l.Bytes > 0 {
			size = console.Size(l.Bytes)
		}
		speed := ""
		if l.Speed > 0 {
			speed = strconv.FormatFloat(l.Speed, 'f', 1, 64)
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, size, l.Here(), speed, l.Describe(), l.Licence)
	}
	if err := tab.Flush(); err != nil || con.Options.JSON {
		return err
	}
	_, err = fmt.Fprintln(con.Stdout, "# "+published.Speeds)
	return err
}

// fetched is what "weights fetch --json" prints.
type fetched struct {
	Name    string        `json:"name"`
	Commit  string        `json:"commit,omitempty"` // of a repository of the hub
	Path    string        `json:"path"`
	Fetched bool          `json:"fetched"` // false: it was here
	Files   []store.Found `json:"files"`
}

// fetchNamed fetches weights of the list, or a repository of the hub.
func fetchNamed(ctx context.Context, con *console.Console, s *store.Store, o published.Options, name string) (fetched,
	error) {
	m, ok, err := published.FetchRepository(ctx, con, o, name)
	if ok {
		return fetched{name, m.Commit, m.Path, m.Fetched, m.Files}, err
	}
	if path, was, ok, err := published.FetchLite(ctx, con, name); ok {
		return fetched{Name: name, Path: path, Fetched: !was}, err
	}
	r, err := s.Fetch(ctx, name)
	return fetched{Name: r.Name, Path: r.Path, Fetched: r.Fetched, Files: r.Files}, err
}

func runFetch(ctx context.Context, con *console.Console, o published.Options) error {
	s, f, err := published.Open(con, o)
	if err != nil {
		return err
	}
	failed := 0
	for _, name := range o.Names {
		if published.BuiltIn(name) {
			con.Term.Log.Info(name + ": is built in")
			continue
		}
		r, err := fetchNamed(ctx, con, s, o, name)
		f.Finish()
		switch {
		case errors.Is(err, context.Canceled):
			con.Term.Log.Warn("interrupted: what has come of " + name + " stays; the same command goes on from there")
			return console.ErrInterrupted
		case err != nil && len(o.Names) == 1:
			return err
		case err != nil:
			failed++
			con.Report(err)
			continue
		}
		if !r.Fetched {
			con.Term.Log.Info(name + ": is here already, and its checksum is right")
		}
		if con.Options.JSON {
			err = console.WriteJSON(con.Stdout, r)
		} else {
			err = con.Printf("%s\n", r.Path)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case failed == len(o.Names):
		return console.ErrReported
	case failed > 0:
		return console.ErrSome
	}
	return nil
}
