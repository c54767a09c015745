// Package ranks runs the work of a command in several processes, of this machine or of others.
package ranks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/torch"
	"captioner/torch/dist"
	"captioner/torch/dist/launch"
	"captioner/weights/plural"
)

// Share runs work in every process that shares it: here with g nil for one process, in this one as a rank of those that
// a starter made, or, with --nproc, in new ones. Only rank 0 prints.
func Share(ctx context.Context, con *console.Console, o flags.Ranks,
	work func(ctx context.Context, g *dist.Group) error) error {
	place, err := launch.Find(os.Getenv)
	if err == nil && place == nil && o.Processes == flags.OnGPUs {
		err = torch.Do(ctx, func() (err error) { o.Processes, err = torch.CUDADevices(); return err })
		if err != nil {
			return console.WithHint(fmt.Errorf("--nproc gpu: %w", err), "\"captioner doctor\" says what is there")
		}
	}
	switch {
	case err != nil:
		return err
	case place == nil && o.Processes > 1:
		return spread(ctx, con, o)
	case place == nil:
		return work(ctx, nil)
	case o.Processes > 1 && o.Processes != place.LocalSize:
		return console.Usagef("leave --nproc out", "--nproc %d: this is already rank %d of %d, as %s has it", o.Processes,
			place.Rank, place.Size, place.Starter)
	}
	if place.Rank != 0 {
		con.Stdout = io.Discard
		con.Options.Quiet = true
		con.Term.SetLog(con.Options)
	}
	g, err := dist.Join(*place, o.Timeout, os.Getenv("GLOO_SOCKET_IFNAME"))
	if err != nil {
		return err
	}
	err = work(ctx, g)
	if err != nil && !errors.Is(err, console.ErrSome) {
		var dead *dist.Error
		if !errors.As(err, &dead) && !errors.Is(err, console.ErrInterrupted) && !errors.Is(err, context.Canceled) {
			g.Leave(err)
		}
		return err // without closing the group: the others may not answer any more
	}
	if ended := g.Wait(ctx, "the end"); err == nil {
		err = ended
	}
	g.Close()
	return err
}

// spread starts this program again in several processes, hosts the store at which they meet, and waits. Rank 0 has this
// one's output.
func spread(ctx context.Context, con *console.Console, o flags.Ranks) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start %s: %w", plural.Count(o.Processes, "process"), err)
	}
	store, err := dist.Host("127.0.0.1", 0, o.Timeout)
	if err != nil {
		return fmt.Errorf("start %s: %w", plural.Count(o.Processes, "process"), err)
	}
	defer store.Close()
	ranks := make([]*child, o.Processes)
	ends := make(chan *child, o.Processes)
	for i := range ranks {
		r := newChild(con, exe, i, o.Processes, store.Port)
		if err := r.cmd.Start(); err != nil {
			for _, before := range ranks[:i] {
				before.cmd.Process.Kill()
			}
			return fmt.Errorf("start %s: %w", plural.Count(o.Processes, "process"), err)
		}
		ranks[i] = r
		go func() { r.err = r.cmd.Wait(); ends <- r }()
	}
	return await(ctx, con, ranks, ends, o.Timeout)
}

// child is a process that this one started.
type child struct {
	rank int
	cmd  *exec.Cmd
	said lastLines
	err  error
}

func newChild(con *console.Console, exe string, rank, size, port int) *child {
	c := &child{rank: rank, cmd: exec.Command(exe, con.Args[1:]...)}
	c.cmd.Env = append(os.Environ(), "RANK="+strconv.Itoa(rank), "LOCAL_RANK="+strconv.Itoa(rank),
		"WORLD_SIZE="+strconv.Itoa(size),
		"LOCAL_WORLD_SIZE="+strconv.Itoa(size), "MASTER_ADDR=127.0.0.1", "MASTER_PORT="+strconv.Itoa(port),
		"TORCHELASTIC_USE_AGENT_STORE=True",
		"TORCHELASTIC_RESTART_COUNT=0")
	if os.Getenv("OMP_NUM_THREADS") == "" { // as torchrun, but with all cores in use
		c.cmd.Env = append(c.cmd.Env, "OMP_NUM_THREADS="+strconv.Itoa(max(1, torch.Cores()/size)))
	}
	// A group of its own: Ctrl-C comes to this process alone, which passes it on once.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stderr = &c.said
	if rank == 0 {
		c.cmd.Stdout, c.cmd.Stderr = con.Stdout, con.Term.W
	}
	return c
}

// await waits for all, passes a signal on, and ends those that outlive a failure.
func await(ctx context.Context, con *console.Console, ranks []*child, ends <-chan *child, timeout time.Duration) error {
	var failed *child
	var late <-chan time.Time
	stop := ctx.Done()
	for left := len(ranks); left > 0; {
		select {
		case r := <-ends:
			left--
			if r.err != nil && failed == nil {
				failed = r
				late = time.After(timeout + 5*time.Second)
				reportEnd(con, r)
			}
		case <-stop:
			stop = nil
			for _, r := range ranks {
				r.cmd.Process.Signal(os.Interrupt)
			}
		case <-late:
			for _, r := range ranks {
				r.cmd.Process.Kill() // one that has ended is left alone
			}
		}
	}
	if failed == nil {
		return nil
	}
	code := console.ExitFailed
	for _, r := range []*child{failed, ranks[0]} {
		if n := r.cmd.ProcessState.ExitCode(); n > 0 {
			code = n
		}
	}
	return console.ExitedError(code)
}

// reportEnd says how the first process to fail has ended, unless that was rank 0, which has said so itself, or one that
// leaves it to rank 0.
func reportEnd(con *console.Console, r *child) {
	state := r.cmd.ProcessState
	said := r.said.String()
	if r.rank == 0 && state.Exited() || state.ExitCode() == console.ExitInterrupted ||
		state.ExitCode() == console.ExitFailed && said == "" {
		return
	}
	how := state.String()
	if said != "" {
		how += ": " + strings.TrimPrefix(said, "error: ")
	}
	con.Term.Fail(fmt.Errorf("rank %d (process %d) ended: %s", r.rank, state.Pid(), how))
}

// lastLines keeps the end of what a process says.
type lastLines struct {
	mu sync.Mutex
	b  []byte
}

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 4096
	if l.b = append(l.b, b...); len(l.b) > most {
		l.b = bytes.Clone(l.b[len(l.b)-most:])
	}
	return len(b), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(strings.Fields(string(l.b)), " ")
}
