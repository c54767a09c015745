package cli

import (
	"context"
	"errors"
	"fmt"
	stdimage "image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"captioner/cli/flags"
	"captioner/cli/model"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/decode"
	"captioner/torch/torchtest"
)

// As a process of its own, this test binary is captioner with a fake model.
func TestMain(m *testing.M) {
	torchtest.UseStandIn()
	os.Setenv("CAPTIONER_KERNELS", "default") // tests must not hang on what is measured here
	if os.Getenv("CAPTIONER_TEST_PROCESS") != "" {
		p := newProgram(os.Stdin, os.Stdout, os.Stderr)
		if os.Getenv("CAPTIONER_TEST_PROCESS") != "real" {
			p.load = openFake
		}
		os.Exit(p.main(context.Background(), os.Args))
	}
	os.Exit(m.Run())
}

// The scripts run captioner within this process, one command at a time: starting one that holds libtorch takes a
// quarter of a second. The model is a fake, and everything else real.
func TestScripts(t *testing.T) {
	dir := testdata(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join(dir, "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("CAPTIONER_TESTDATA", dir)
			e.Setenv("CAPTIONER_MODELS", filepath.Join(dir, "../../models/captioner/testdata"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"captioner": func(ts *testscript.TestScript, _ bool, args []string) { inProcess(ts, 0, "", args) },
			"exitcode":  exitCodeOf, // exitcode 3 captioner predict dir
			"from":      from,       // from list captioner predict -
			"picture":   picture,    // image red a.png b.png
			"s3":        s3Command,
			"hub":       hubCommand, // hub start folder; hub fault cdn:cut=100; hub gated ORG/NAME; hub asked cdn 2
			"fifo": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
			},
		},
	})
}

var inProcessLock sync.Mutex // the working directory and the variables are the process's

// variables are those of the scripts that captioner reads.
var variables = []string{"CAPTIONER_NUM_CAPTIONS", "HOME", "XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME", "HF_HUB_CACHE",
	"HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "CAPTIONER_CACHE", "CAPTIONER_MIRROR",
	"CAPTIONER_CONFIG", "XDG_CONFIG_HOME", "COLUMNS", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}

func inProcess(ts *testscript.TestScript, want int, stdin string, args []string) {
	inProcessLock.Lock()
	defer inProcessLock.Unlock()
	was, err := os.Getwd()
	ts.Check(err)
	ts.Check(os.Chdir(ts.MkAbs(".")))
	defer os.Chdir(was)
	for _, v := range variables {
		ts.Check(os.Setenv(v, ts.Getenv(v)))
	}
	p := newProgram(strings.NewReader(stdin), ts.Stdout(), ts.Stderr())
	p.load = openFake
	if got := p.run(context.Background(), append([]string{"captioner"}, args...)); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func exitCodeOf(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	inProcess(ts, want, "", args[2:])
}

// from list captioner predict -, or from list exitcode 2 captioner predict -.
func from(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.NewReplacer("NUL\n", "\x00", "NUL", "\x00").Replace(ts.ReadFile(args[0]))
	want, words := 0, args[2:]
	if args[1] == "exitcode" {
		var err error
		want, err = strconv.Atoi(args[2])
		ts.Check(err)
		words = args[4:]
	}
	inProcess(ts, want, text, words)
}

func testdata(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var colors = map[string]color.RGBA{
	"red": {255, 0, 0, 255}, "green": {0, 255, 0, 255}, "blue": {0, 0, 255, 255}, "white": {255, 255, 255,
		255}, "black": {0, 0, 0, 255},
}

// picture writes PNG files of one color. Names may hold escapes such as \n.
func picture(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args[1:] {
		name, err := strconv.Unquote(`"` + name + `"`)
		ts.Check(err)
		ts.Check(writePicture(ts.MkAbs(name), colors[args[0]]))
	}
}

func writePicture(path string, c color.RGBA) error {
	m := stdimage.NewRGBA(stdimage.Rect(0, 0, 8, 8))
	for i := range 64 {
		m.SetRGBA(i%8, i/8, c)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, m), f.Close())
}

// fake is a model that names the color of an image.
type fake struct{ delay time.Duration }

func openFake(_ context.Context, o flags.Model) (model.Model, error) {
	if o.Path != "" || o.Device != "auto" && o.Device != "cpu" { // these fail as they do with a real model
		return model.Load(context.Background(), o)
	}
	delay, _ := time.ParseDuration(os.Getenv("FAKE_DELAY"))
	return &fake{delay}, nil
}

func (*fake) Name() string              { return "fake" }
func (*fake) Device() string            { return "cpu" }
func (*fake) Checksum() (string, error) { return "0123", nil }
func (*fake) Close() error              { return nil }
func (*fake) Times() captioner.Times    { return captioner.Times{} }
func (*fake) Defaults() decode.Options  { return decode.DefaultOptions() }
func (*fake) Positions() int            { return 64 }
func (*fake) UncertainBelow() float64   { return .3 }
func (*fake) Encode(s string) []int32 {
	var out []int32
	for _, c := range []byte(s) {
		out = append(out, int32(c))
	}
	return out
}

func (*fake) Prepare(m *image.RGB) *image.RGB {
	out := image.New(1, 1)
	copy(out.Pix, m.Pix[:3])
	return out
}

func (f *fake) Caption(_ context.Context, images []*image.RGB, o decode.Options) ([]captioner.Caption, error) {
	time.Sleep(f.delay)
	var out []captioner.Caption
	for i, m := range images {
		c := captioner.Caption{Text: "a picture of nothing", LogProb: -9, Confidence: 0.125}
		for name, rgb := range colors {
			if m.Pix[0] == rgb.R && m.Pix[1] == rgb.G && m.Pix[2] == rgb.B {
				c = captioner.Caption{Text: "a " + name + " picture", LogProb: -2.5, Confidence: 0.5}
			}
		}
		for _, t := range o.Prompt {
			c.Text = string(rune(t)) + c.Text
		}
		for _, w := range o.Force {
			c.Text += fmt.Sprintf(" with%s", string(rune(w[0][0]))+string(rune(w[0][1])))
		}
		if o.Sample {
			c.Text += fmt.Sprintf(" %d", (o.IDs[i]+o.Seed)%1000)
		}
		for _, w := range []string{"picture", "color", "nothing"}[:min(o.Keywords, 3)] {
			c.Keywords = append(c.Keywords, decode.Keyword{Word: w, Probability: 0.75})
		}
		for n := 1; n < o.Captions; n++ {
			c.Alternatives = append(c.Alternatives, captioner.Caption{Text: fmt.Sprintf("%s, take %d", c.Text, n+1),
				LogProb: c.LogProb - float64(n), Confidence: c.Confidence / 2})
		}
		out = append(out, c)
	}
	return out, nil
}
