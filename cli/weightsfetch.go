package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/weights/pickle"
	"captioner/weights/safetensors"
	"captioner/weights/store"
)

// FetchOptions are what the flags of weights list and weights fetch say.
type FetchOptions struct {
	Cache, Mirror string
	Offline       bool
	Names         []string
}

func (o *FetchOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cache", Usage: "`FOLDER` for what is fetched; models of the Hugging Face hub lie in HF_HOME instead", Destination: &o.Cache, TakesFile: true},
		&cli.StringFlag{Name: "mirror", Usage: "`URL` or folder that holds HOST/PATH of each address, as wget -x leaves it", Destination: &o.Mirror, TakesFile: true},
		&cli.BoolFlag{Name: "offline", Usage: "use no network, as HF_HUB_OFFLINE does", Destination: &o.Offline},
	}
}

const fetchHelp = `Files go to captioner's cache folder, models of the Hugging Face hub to the hub's own, where Python finds them too; what clip.load and
LAVIS have downloaded is found. A file gets its name after its checksum was right; a fetch that was cut goes on; two processes fetch once.
Variables: HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE.`

func newList(p *program) *cli.Command {
	o := new(FetchOptions)
	return &cli.Command{
		Name:        "list",
		Usage:       "list the published weights that can be fetched by name, and what of them is here",
		Description: fetchHelp,
		Flags:       o.flags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return runList(p, *o)
		},
	}
}

func newFetch(p *program) *cli.Command {
	o := new(FetchOptions)
	return &cli.Command{
		Name:        "fetch",
		Usage:       "fetch published weights by name, check them, and print where they are",
		ArgsUsage:   "NAME…",
		Description: fetchHelp,
		Flags:       o.flags(),
		Action: func(c *cli.Context) error {
			if o.Names = c.Args().Slice(); len(o.Names) == 0 {
				return usagef("run \"captioner weights list\" for the names", "weights fetch takes one name or more, found none")
			}
			return runFetch(c.Context, p, *o)
		},
	}
}

// openStore makes the store that the variables describe, with what the flags say instead.
func (p *program) openStore(o FetchOptions) (*store.Store, *fetching, error) {
	so, err := store.FromEnvironment(os.Getenv)
	if err != nil {
		return nil, nil, err
	}
	if o.Cache != "" {
		so.Cache = o.Cache
	}
	if o.Mirror != "" {
		so.Mirror = o.Mirror
	}
	so.Offline = so.Offline || o.Offline
	f := &fetching{p: p}
	so.Progress, so.Check = f.progress, checkFormat
	so.Notice = func(text string) { p.term.log.Warn(text) }
	s, err := store.New(so)
	return s, f, err
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

// fetchWeights returns the file, or the folder, of published weights. What is not here is fetched first, with its progress on standard error.
func (p *program) fetchWeights(ctx context.Context, name string) (string, error) {
	s, f, err := p.openStore(FetchOptions{})
	if err != nil {
		return "", err
	}
	defer f.finish()
	return s.Get(ctx, name)
}

// weightsLine is an entry as "weights list --json" prints it.
type weightsLine struct {
	Name     string   `json:"name"`
	Aliases  []string `json:"aliases"`
	What     string   `json:"what"`
	Licence  string   `json:"licence"`
	Origin   string   `json:"origin"`
	URLs     []string `json:"urls"`
	SHA256   string   `json:"sha256,omitempty"` // of the one file, or of the last of a model's
	Bytes    int64    `json:"bytes,omitempty"`
	Checksum string   `json:"checksum"` // who vouches for the content: published, hub or none
	Path     string   `json:"path,omitempty"`
	Part     int64    `json:"part_bytes,omitempty"`
	Target   string   `json:"target"`
}

func runList(p *program, o FetchOptions) error {
	s, _, err := p.openStore(o)
	if err != nil {
		return err
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	if !p.common.JSON {
		fmt.Fprintln(tab, "NAME\tSIZE\tHERE\tWHAT\tLICENCE")
	}
	for _, st := range s.List() {
		if p.common.JSON {
			l := weightsLine{Name: st.Name, Aliases: st.Aliases, What: st.What, Licence: st.Licence, Origin: st.Origin, SHA256: st.Files[len(st.Files)-1].SHA256,
				Bytes: st.Size(), Checksum: st.Checksum(), Path: st.Path, Part: st.Part, Target: st.Target}
			for _, f := range st.Files {
				l.URLs = append(l.URLs, f.URL)
			}
			if err := writeJSON(p.stdout, l); err != nil {
				return err
			}
			continue
		}
		size, here := "", ""
		if n := st.Size(); n > 0 {
			size = bytesFor(n)
		}
		switch {
		case st.Path != "":
			here = "yes"
		case st.Part > 0:
			here = bytesFor(st.Part)
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", st.Name, size, here, st.What, st.Licence)
	}
	return tab.Flush()
}

func runFetch(ctx context.Context, p *program, o FetchOptions) error {
	s, f, err := p.openStore(o)
	if err != nil {
		return err
	}
	failed := 0
	for _, name := range o.Names {
		r, err := s.Fetch(ctx, name)
		f.finish()
		switch {
		case errors.Is(err, context.Canceled):
			p.term.log.Warn("interrupted: what has come of " + name + " stays; the same command goes on from there")
			return errInterrupted
		case err != nil && len(o.Names) == 1:
			return err
		case err != nil:
			failed++
			p.report(err)
			continue
		}
		if !r.Fetched {
			p.term.log.Info(name + ": is here already, and its checksum is right")
		}
		if p.common.JSON {
			err = writeJSON(p.stdout, r)
		} else {
			err = p.printf("%s\n", r.Path)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case failed == len(o.Names):
		return errReported
	case failed > 0:
		return errSome
	}
	return nil
}

// fetching shows how far a fetch is: by a bar for each file where a person watches, else by a line every few seconds.
type fetching struct {
	p *program

	mu    sync.Mutex
	file  string
	start time.Time
	from  int64 // bytes that an earlier fetch left
	said  time.Time
}

func (f *fetching) progress(g store.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if g.File != f.file {
		f.file, f.start, f.said, f.from = g.File, now, now, g.Done
		if f.p.term.live {
			f.p.term.show(&bar{about: g.File, bytes: true})
		}
	}
	if f.p.term.live {
		f.p.term.update(g.Done, g.Total, 0)
		return
	}
	if now.Sub(f.said) < 10*time.Second {
		return
	}
	f.said = now
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s", g.File, bytesFor(g.Done))
	rate := float64(g.Done-f.from) / now.Sub(f.start).Seconds()
	if g.Total > 0 {
		fmt.Fprintf(&s, " of %s", bytesFor(g.Total))
	}
	fmt.Fprintf(&s, ", %s/s", bytesFor(int64(rate)))
	if g.Total > g.Done && rate > 0 {
		fmt.Fprintf(&s, ", %v left", (time.Duration(float64(g.Total-g.Done)/rate) * time.Second).Round(time.Second))
	}
	f.p.term.log.Info(s.String())
}

// finish takes the bar away.
func (f *fetching) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file = ""
	f.p.term.show(nil)
}

// bytesFor is a number of bytes for people.
func bytesFor(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	case n == 1:
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}
