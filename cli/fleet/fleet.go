// Package fleet captions on all GPUs of a machine: a process a GPU, since one process has one thread for tensors. To
// the command that opened it, it is a model like any other: a batch is divided among the processes, and the captions
// come back in the images' order.
//
// The processes are this program, started with [Command]. They read batches on standard input and write captions on
// standard output, both as gob.
package fleet

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/model"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/torch"
)

// All is the word for --device.
const All = flags.AllGPUs

// Command is the hidden command that the processes run.
const Command = "__caption"

// batch is what a process is asked, and answer what it says.
type batch struct {
	Images  []*image.RGB
	Options decode.Options
}

type answer struct {
	Captions []captioner.Caption
	Err      string // "" where it went well
	NaN      bool   // the model gave numbers that are none
	Times    captioner.Times
}

// Fleet is the processes. It has the methods of model.Model.
type Fleet struct {
	file  *checkpoint.Checkpoint // for all that needs no tensors
	path  string
	ships []*ship
}

var _ model.Model = (*Fleet)(nil)

// ship is a process and its pipes.
type ship struct {
	device string
	cmd    *exec.Cmd
	to     *gob.Encoder
	from   *gob.Decoder
	in     io.Closer
	times  captioner.Times
}

// Open starts a process on every GPU with the model that o names; its device is not looked at.
func Open(ctx context.Context, con *console.Console, o flags.Model) (*Fleet, error) {
	if err := model.FindWeights(ctx, con, &o); err != nil {
		return nil, err
	}
	var n int
	if err := torch.Do(ctx, func() (err error) { n, err = torch.CUDADevices(); return err }); err != nil {
		return nil, &captioner.DeviceError{Err: fmt.Errorf("device %q: %w", All, err)}
	}
	known, err := o.Activation.Architectures(o.Heads)
	if err != nil {
		return nil, err
	}
	file, err := captioner.OpenFile(o.Path, captioner.Options{Encoder: o.Encoder, Architectures: known})
	if err != nil {
		return nil, model.ModelHint(err)
	}
	f := &Fleet{file: file, path: o.Path}
	for i := range n {
		s, err := launch(con, o, "cuda:"+strconv.Itoa(i))
		if err != nil {
			f.Close()
			return nil, err
		}
		f.ships = append(f.ships, s)
	}
	for _, s := range f.ships { // each says that its model is loaded, or why not
		if err := s.hear(nil); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// launch starts a process.
func launch(con *console.Console, o flags.Model, device string) (*ship, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a process on %s: %w", device, err)
	}
	args := []string{Command, "--device", device, "--precision", o.Precision, "--threads", strconv.Itoa(o.Threads),
		"--log-format", con.Options.LogFormat}
	if o.Path != "" {
		args = append(args, "--model", o.Path)
	}
	if o.Encoder != "" {
		args = append(args, "--encoder", o.Encoder)
	}
	if o.Heads != "" {
		args = append(args, "--heads", string(o.Heads))
	}
	if o.Activation != "" {
		args = append(args, "--encoder-activation", string(o.Activation))
	}
	if o.Graphs != "" {
		args = append(args, "--cuda-graphs", o.Graphs)
	}
	if con.Options.Verbose {
		args = append(args, "-v")
	}
	s := &ship{device: device, cmd: exec.Command(exe, args...)}
	s.cmd.Stderr = con.Term
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C comes to this process, which finishes what is in hand
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a process on %s: %w", device, err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a process on %s: %w", device, err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process on %s: %w", device, err)
	}
	s.to, s.from, s.in = gob.NewEncoder(in), gob.NewDecoder(out), in
	return s, nil
}

// hear waits for an answer; captions, if not nil, gets what it brings.
func (s *ship) hear(captions []captioner.Caption) error {
	var a answer
	if err := s.from.Decode(&a); err != nil {
		return fmt.Errorf("the process on %s ended: %w", s.device, err)
	}
	s.times = a.Times
	switch {
	case a.NaN:
		return fmt.Errorf("%s: %w", a.Err, decode.ErrNaN)
	case a.Err != "":
		return fmt.Errorf("%s: %s", s.device, a.Err)
	}
	copy(captions, a.Captions)
	return nil
}

// Caption divides the images among the processes.
func (f *Fleet) Caption(ctx context.Context, imgs []*image.RGB, o decode.Options) ([]captioner.Caption, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make([]captioner.Caption, len(imgs))
	errs := make([]error, len(f.ships))
	var all sync.WaitGroup
	for i, s := range f.ships {
		from, to := i*len(imgs)/len(f.ships), (i+1)*len(imgs)/len(f.ships)
		if from == to {
			continue
		}
		all.Go(func() {
			if err := s.to.Encode(batch{imgs[from:to], o.Of(from, to)}); err != nil {
				errs[i] = fmt.Errorf("the process on %s ended: %w", s.device, err)
				return
			}
			errs[i] = s.hear(out[from:to])
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

// Close ends the processes.
func (f *Fleet) Close() error {
	for _, s := range f.ships {
		s.in.Close()
	}
	for _, s := range f.ships {
		kill := time.AfterFunc(10*time.Second, func() { s.cmd.Process.Kill() })
		s.cmd.Wait() // what went wrong was told by its answers
		kill.Stop()
	}
	return f.file.Close()
}

// Size is the number of processes.
func (f *Fleet) Size() int { return len(f.ships) }

// Name is the model's for reports.
func (f *Fleet) Name() string {
	if f.path == "" {
		return "demo"
	}
	return f.path
}

// Device is where the model works.
func (f *Fleet) Device() string { return All }

// Checksum is the SHA-256 of the model file.
func (f *Fleet) Checksum() (string, error) { return f.file.Checksum() }

// Defaults are the decoding options that the model file asks for.
func (f *Fleet) Defaults() decode.Options { return f.file.Defaults() }

// UncertainBelow is the confidence below which a caption is as likely wrong as right.
func (f *Fleet) UncertainBelow() float64 { return f.file.Card.UncertainBelow }

// Encode gives the tokens of a text.
func (f *Fleet) Encode(text string) []int32 { return f.file.Tokenizer.Encode(text) }

// Prepare makes of an image what Caption takes.
func (f *Fleet) Prepare(img *image.RGB) *image.RGB {
	return f.file.Config.Encoder.Preprocess.Apply(img)
}

// Positions is the most tokens of a text.
func (f *Fleet) Positions() int {
	_, positions, _ := f.file.Config.Decoder.Sizes()
	return int(positions)
}

// Times are those of the process that took the longest.
func (f *Fleet) Times() (t captioner.Times) {
	for _, s := range f.ships {
		t.Encode, t.Generate = max(t.Encode, s.times.Encode), max(t.Generate, s.times.Generate)
	}
	return t
}

// Work is what a process does: it says that m is there, or why not, and captions batches until the input ends.
func Work(ctx context.Context, in io.Reader, out io.Writer, open func() (model.Model, error)) error {
	to, from := gob.NewEncoder(out), gob.NewDecoder(in)
	m, err := open()
	if err != nil {
		return errors.Join(to.Encode(answer{Err: console.OneLine(err)}), err)
	}
	defer m.Close()
	if err := to.Encode(answer{}); err != nil {
		return err
	}
	for {
		var b batch
		if err := from.Decode(&b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a batch: %w", err)
		}
		var a answer
		if a.Captions, err = m.Caption(ctx, b.Images, b.Options); err != nil {
			a.Err, a.NaN = console.OneLine(err), errors.Is(err, decode.ErrNaN)
		}
		a.Times = m.Times()
		if err := to.Encode(a); err != nil {
			return fmt.Errorf("write captions: %w", err)
		}
	}
}
