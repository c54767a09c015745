package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/server"
	"captioner/cli/server/access"
	"captioner/cli/server/edit"
	"captioner/cli/server/listen"
	"captioner/cli/version"
	"captioner/torch"
	"captioner/weights"
)

// ServeOptions are what the flags of serve say.
type ServeOptions struct {
	Model  flags.Model
	Server server.Options

	Listen          string
	TokenFile       string
	TLSCert, TLSKey string
	NoReload        bool
	Also            []string // further models
	Edit, EditText  string   // a folder that a page edits, and the extension of its captions
	EndWithStdin    bool

	host string
	port int

	maxBody, maxMemory, maxPixels int // in megabytes and megapixels

	open func(flags.Model) (server.Model, error)
}

func newServe(con *console.Console) *cli.Command {
	o := ServeOptions{open: model.Serve}
	return &cli.Command{
		Name:  "serve",
		Usage: "answer with captions over HTTP, and show a page for images",
		Description: `Send an image, get its caption:
  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8080/v1/captions
The page is at http://127.0.0.1:8080/, the description of the API at /openapi.json, figures for Prometheus at /metrics.
SIGTERM answers what was accepted and ends with exit code 0. SIGHUP reads the model, the tokens and the certificate
again; a model file that changes is read again by itself. No request fails by it. When the terminal goes that it was
started on, it ends as by SIGTERM. With -v each request is a line on standard error.`,
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			if err := flags.NoArguments(c); err != nil {
				return err
			}
			o.Server.CORSOrigins, o.Also = c.StringSlice("cors-origin"), c.StringSlice("also")
			if err := o.place(c.IsSet); err != nil {
				return err
			}
			if err := o.validate(); err != nil {
				return err
			}
			return runServe(c.Context, con, o)
		},
	}
}

func (o *ServeOptions) flags() []cli.Flag {
	const reach, editing, limits, engine = "ADDRESS AND ACCESS", "EDITING", "LIMITS", "ENGINE"
	o.Server = server.DefaultOptions()
	s := &o.Server
	period := func(category, name, usage string, to *time.Duration) cli.Flag {
		return &cli.DurationFlag{Name: name, Value: *to, Usage: usage, Category: category, Destination: to}
	}
	count := func(category, name, usage string, to *int) cli.Flag {
		return &cli.IntFlag{Name: name, Value: *to, Usage: usage, Category: category, Destination: to}
	}
	text := func(name, value, usage string, to *string, file bool) cli.Flag {
		return &cli.StringFlag{Name: name, Value: value, Usage: usage, Category: reach, Destination: to, TakesFile: file}
	}
	o.maxBody, o.maxMemory, o.maxPixels = int(s.MaxBody>>20), int(s.MaxMemory>>20), int(s.MaxPixels/1e6)
	return slices.Concat(o.Model.Flags(), []cli.Flag{
		&cli.StringSliceFlag{Name: "also", Category: "MODEL",
			Usage: "another `MODEL`, as --model takes it, for requests that name it; may be repeated"},
		text("listen", "127.0.0.1:8080",
			"`ADDRESS`: HOST:PORT, unix:PATH, or systemd for the socket that systemd passes on", &o.Listen, false),
		text("host", "", "the host of --listen, for the port that it has: 0.0.0.0 for other machines", &o.host, false),
		&cli.IntFlag{Name: "port", Category: reach, Destination: &o.port, DefaultText: "8080",
			Usage: "the port of --listen, for the host that it has; 0 is any that is free"},
		text("token-file", "", "`FILE` of tokens, one a line: the API answers only who sends one of them",
			&o.TokenFile, true),
		text("tls-cert", "", "`FILE` of the certificate, for https", &o.TLSCert, true),
		text("tls-key", "", "`FILE` of its key", &o.TLSKey, true),
		&cli.StringSliceFlag{Name: "cors-origin", Category: reach,
			Usage: "`SITE` such as https://example.org whose pages may use the API; may be repeated"},
		&cli.Float64Flag{Name: "rate", Category: reach, Destination: &s.Rate,
			Usage: "requests a second that one client may send; 0: any number"},
		count(reach, "burst", "of --rate: requests that a client may send at once", &s.Burst),

		&cli.StringFlag{Name: "edit", Category: editing, Destination: &o.Edit,
			Usage: "`FOLDER` whose captions a page edits and saves beside the images; for this machine only"},
		&cli.StringFlag{Name: "edit-extension", Value: ".txt", Category: editing, Destination: &o.EditText,
			Usage: "of --edit: `EXTENSION` of the files of captions, such as .caption"},

		count(engine, "max-batch", "images that go through the model together; captions do not depend on it", &s.MaxBatch),
		period(engine, "max-wait", "how long a batch waits for images that are still being decoded", &s.MaxWait),
		count(engine, "queue", "images that may wait; more are refused with 429, as is what could not be answered "+
			"in a third of --timeout", &s.Queue),
		&cli.IntFlag{Name: "workers", Value: s.Workers, DefaultText: "as many as there are cores", Category: engine,
			Usage: "goroutines that decode images", Destination: &s.Workers},
		&cli.BoolFlag{Name: "no-reload", Category: engine, Destination: &o.NoReload,
			Usage: "do not look whether the model file changes"},
		&cli.BoolFlag{Name: "no-encoder", Category: engine, Destination: &o.Model.NoEncoder,
			Usage: "open the model without its encoder: it captions embeddings alone (/v1/captions:fromEmbedding)"},
		&cli.BoolFlag{Name: "end-with-stdin", Category: engine, Destination: &o.EndWithStdin,
			Usage: "end as by SIGTERM when standard input ends: for a program that keeps the service on a pipe"},

		count(limits, "max-body", "largest request, in `MB`", &o.maxBody),
		count(limits, "max-memory", "all requests in memory together, in `MB`", &o.maxMemory),
		count(limits, "max-pixels", "largest image, in `megapixels`", &o.maxPixels),
		count(limits, "max-images", "images of one request", &s.MaxImages),
		count(limits, "max-connections", "open connections; above, the one that has been silent the longest is closed",
			&s.MaxConnections),
		count(limits, "limit-beam", "largest beam, and most captions of an image, that a request may ask for", &s.MaxBeam),
		count(limits, "limit-len", "longest caption, in tokens, that a request may ask for", &s.MaxLen),
		period(limits, "timeout", "for a request, from its header to its answer", &s.Timeout),
		period(limits, "header-timeout", "for a request's header to arrive", &s.HeaderTimeout),
		period(limits, "body-timeout", "for a request's body to arrive", &s.BodyTimeout),
		period(limits, "idle-timeout", "between two requests of a connection", &s.IdleTimeout),
		period(limits, "drain", "for what was accepted to be answered when the service is stopped", &s.Drain),
	})
}

// place makes --listen of --host and --port.
func (o *ServeOptions) place(set func(string) bool) error {
	if !set("host") && !set("port") {
		return nil
	}
	if set("listen") {
		return console.Usagef("leave out one of them", "--listen has the host and the port already")
	}
	if o.port < 0 || o.port > 65535 {
		return console.Usagef("", "--port %d: want 0 to 65535", o.port)
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return err
	}
	if set("host") {
		host = strings.Trim(o.host, "[]")
	}
	if set("port") {
		port = strconv.Itoa(o.port)
	}
	o.Listen = net.JoinHostPort(host, port)
	return nil
}

func (o *ServeOptions) validate() error {
	var wrong console.Mistakes
	wrong.Add(o.Model.Validate())
	wrong.Check(!o.Model.NoEncoder || o.Model.Encoder == "", "leave out one of them",
		"--no-encoder and --encoder contradict each other")
	for _, n := range []struct {
		flag string
		got  int
	}{{"--max-body", o.maxBody}, {"--max-memory", o.maxMemory}, {"--max-pixels", o.maxPixels}} {
		wrong.Check(n.got >= 1 && n.got <= 1<<20, "", "%s %d: want 1 to %d", n.flag, n.got, 1<<20)
	}
	o.Server.MaxBody, o.Server.MaxMemory = int64(o.maxBody)<<20, int64(o.maxMemory)<<20
	o.Server.MaxPixels = int64(o.maxPixels) * 1e6
	if err := o.Server.Validate(); err != nil {
		wrong.Add(console.Usagef("run \"captioner serve --help\" for the flags", "%s", console.OneLine(err)))
	}
	wrong.Check((o.TLSCert == "") == (o.TLSKey == ""), "", "--tls-cert and --tls-key need each other")
	if err := edit.CheckExtension(o.EditText); err != nil {
		wrong.Add(console.Usagef("", "--edit-%s", err))
	}
	for _, site := range o.Server.CORSOrigins {
		wrong.Check(server.ValidOrigin(site) == nil, "", "--cors-origin %q: want a site such as https://example.org", site)
	}
	return wrong.Err()
}

// service is one run of serve.
type service struct {
	con  *console.Console
	o    *ServeOptions
	http *server.Server
	cert *listen.Certificate // nil for plain HTTP

	watched bool   // it was started on a terminal
	end     func() // stops the service as SIGTERM does
}

func runServe(ctx context.Context, con *console.Console, o ServeOptions) (err error) {
	o.Server.Version, o.Server.Release, o.Server.LiveTensors = version.This(), console.Version, torch.Live
	o.Server.Fetch = (&input.Fetcher{Limit: o.Server.MaxBody, Timeout: 30 * time.Second}).Get // as predict's defaults
	ctx, end := context.WithCancel(ctx)
	defer end()
	if o.EndWithStdin {
		go func() {
			_, _ = io.Copy(io.Discard, con.Stdin) // an error is an end too
			end()
		}()
	}
	s := &service{con: con, o: &o, watched: console.IsTerminal(con.Term.W), end: end}
	tokens, err := s.tokens()
	if err != nil {
		return err
	}
	config, err := s.openCert()
	if err != nil {
		return err
	}
	l, err := listen.Open(o.Listen, os.Getenv)
	if err != nil {
		return console.WithHint(err, "--listen takes HOST:PORT, unix:PATH or systemd; port 0 is any that is free")
	}
	defer l.Close()
	if o.Edit != "" {
		if o.Server.Edit, err = openEdit(&o, l); err != nil {
			return err
		}
		defer o.Server.Edit.Close()
	}
	if err := s.openModels(ctx); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	s.http.SetTokens(tokens)
	stop := s.follow(ctx) // before anybody is told that the service is there: SIGHUP must not end it
	s.announce(l, len(tokens))
	s.notify("READY=1")
	go func() {
		<-ctx.Done()
		s.notify("STOPPING=1")
	}()
	err = s.http.Serve(ctx, l, config)
	stop()
	if errors.Is(err, server.ErrDrain) {
		return console.WithHint(err, "--drain gives them more time")
	}
	return err
}

// openCert reads the certificate of --tls-cert; nil is none.
func (s *service) openCert() (*tls.Config, error) {
	if s.o.TLSCert == "" {
		return nil, nil
	}
	s.cert = &listen.Certificate{Cert: s.o.TLSCert, Key: s.o.TLSKey}
	if err := s.cert.Load(); err != nil {
		return nil, console.WithHint(err, "both files are PEM; the key is that of the certificate")
	}
	return s.cert.Config(), nil
}

// openModels opens the models and makes the server of them, which closes them at its end.
func (s *service) openModels(ctx context.Context) error {
	o, log := s.o, s.con.Term.Log
	if err := model.FindWeights(ctx, s.con, &o.Model); err != nil {
		return err
	}
	o.Model.Notice = func(s string) { log.Warn(s) }
	o.Model.Detail = func(s string) { log.Debug(s) }
	m, err := o.open(o.Model)
	if err != nil {
		return err
	}
	others, err := model.Others(ctx, s.con, o.Model, o.Also, o.open)
	if err == nil {
		s.http, err = server.New(m, o.Server, log, others...)
	}
	if err != nil {
		for _, m := range append(others, m) {
			err = errors.Join(err, m.Close())
		}
	}
	return err
}

// openEdit opens the folder of --edit. It wants a listener that no other machine reaches: who reaches it may write.
func openEdit(o *ServeOptions, l net.Listener) (*edit.Folder, error) {
	if l.Addr().Network() == "unix" || listen.Public(l) {
		return nil, console.Usagef("leave out --listen, or give it an address such as 127.0.0.1:8080",
			"--edit is for this machine only, and %q is not", o.Listen)
	}
	f, err := edit.Open(o.Edit, o.EditText)
	if err != nil {
		return nil, console.WithHint(err, "--edit wants a folder of images")
	}
	return f, nil
}

// tokens reads the file of tokens; none without one.
func (s *service) tokens() ([]string, error) {
	path := s.o.TokenFile
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, console.WithHint(fmt.Errorf("read tokens %q: %w", path, weights.Reason(err)),
			"check the spelling of --token-file")
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
		s.con.Term.Log.Warn(fmt.Sprintf("everybody on this machine can read the tokens in %q", path),
			"hint", "chmod 600 "+path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tokens %q: %w", path, weights.Reason(err))
	}
	tokens, err := access.ParseTokens(b)
	if err != nil {
		return nil, console.WithHint(fmt.Errorf("%q: %w", path, err), "\"openssl rand -hex 24\" makes a token")
	}
	return tokens, nil
}

// announce says where the service is, and what is risky about it.
func (s *service) announce(l net.Listener, tokens int) {
	scheme := "http"
	if s.cert != nil {
		scheme = "https"
	}
	where := "unix:" + l.Addr().String()
	if l.Addr().Network() != "unix" {
		where = scheme + "://" + l.Addr().String()
	}
	s.con.Term.Log.Info("listening on " + where)
	if s.o.Edit != "" {
		s.con.Term.Log.Info(fmt.Sprintf("the captions of %q are edited at %s/edit", s.o.Edit, where))
	}
	if !listen.Public(l) {
		return
	}
	var lacks, flags []string
	if tokens == 0 {
		lacks, flags = append(lacks, "a token"), append(flags, "--token-file FILE")
	}
	if s.cert == nil {
		lacks, flags = append(lacks, "encryption"), append(flags, "--tls-cert FILE --tls-key FILE")
	}
	if len(lacks) > 0 {
		s.con.Term.Log.Warn("other machines can use the service without "+strings.Join(lacks, " and without "),
			"hint", strings.Join(flags, ", ")+", or a proxy in front that does both")
	}
}

func (s *service) notify(state string) {
	if err := listen.Notify(os.Getenv, state); err != nil {
		s.con.Term.Log.Warn(console.OneLine(err))
	}
}

// lookEvery is how often the model file is looked at.
const lookEvery = 2 * time.Second

// follow reads things again when it is asked to or when the model file changes, one after the other, until ctx or what
// it returns ends it.
func (s *service) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	asked, changed, over := make(chan os.Signal, 1), make(chan struct{}, 1), make(chan struct{})
	signal.Notify(asked, syscall.SIGHUP)
	if s.o.Model.Path != "" && !s.o.NoReload {
		go func() {
			err := listen.Watch(ctx, s.o.Model.Path, lookEvery, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
			if err != nil {
				s.con.Term.Fail(fmt.Errorf("watch model: %w", err))
			}
		}()
	}
	go func() {
		defer close(over)
		for {
			select {
			case <-ctx.Done():
				return
			case <-asked:
				if s.watched && !console.IsTerminal(s.con.Term.W) { // the terminal is gone, and with it who started it
					s.end()
					return
				}
				s.again()
			case <-changed:
				s.reload()
			}
		}
	}()
	return func() {
		signal.Stop(asked)
		cancel()
		<-over
	}
}

// again reads everything again. What is wrong is reported, and what was there before stays.
func (s *service) again() {
	if tokens, err := s.tokens(); err != nil {
		s.con.Term.Fail(err)
	} else {
		s.http.SetTokens(tokens)
	}
	if s.cert != nil {
		if err := s.cert.Load(); err != nil {
			s.con.Term.Fail(err)
		}
	}
	s.reload()
}

// reload loads the model file beside the model in use and puts it in its place.
func (s *service) reload() {
	m, err := s.o.open(s.o.Model)
	if err != nil {
		s.con.Term.Fail(fmt.Errorf("reload: the model before stays in use: %w", err))
		return
	}
	s.http.Swap(m)
	i := m.Info()
	s.con.Term.Log.Info("model loaded again", "model", i.Name, "sha256", i.SHA256[:min(12, len(i.SHA256))])
}
