package dist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"captioner/torch"
	"captioner/torch/dist/launch"
)

// The tests start real processes: this program again, as a rank that plays a role.
func TestMain(m *testing.M) {
	role := os.Getenv("DIST_TEST_ROLE")
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

var roles = map[string]func(*Group) error{
	"collectives": playCollectives,
	"buckets":     playBuckets,
	"wait":        playWait,
	"die": func(g *Group) error {
		if g.Rank() == 1 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return sumForever(g)
	},
	"stop": func(g *Group) error {
		if g.Rank() == 1 {
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
		return sumForever(g)
	},
	"absent": func(g *Group) error { // lives, and never comes
		if g.Rank() == 1 {
			time.Sleep(time.Minute)
		}
		return sumForever(g)
	},
	"leave": func(g *Group) error {
		if g.Rank() == 1 {
			err := errors.New("write checkpoint: no space left on device")
			g.Leave(err)
			return err
		}
		return sumForever(g)
	},
	"die in wait": func(g *Group) error {
		if g.Rank() == 1 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return g.Wait(context.Background(), "pictures")
	},
	"first dies": func(g *Group) error {
		if g.Rank() == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return sumForever(g)
	},
}

func sumForever(g *Group) error {
	for {
		if err := g.Sum([]float64{1}); err != nil {
			return err
		}
	}
}

func play(role string) error {
	p, err := launch.Find(os.Getenv)
	if err != nil {
		return err
	}
	timeout, err := time.ParseDuration(os.Getenv("DIST_TEST_TIMEOUT"))
	if err != nil {
		return err
	}
	if role == "late" && p.Rank == 1 {
		return nil
	}
	g, err := Join(*p, timeout, "")
	if err != nil {
		return err
	}
	if err := roles[role](g); err != nil {
		return err
	}
	g.Close()
	return nil
}

type rank struct {
	out  bytes.Buffer
	err  error
	took time.Duration
}

// start runs a role in n processes on the loopback interface and waits for those that end by themselves. With hosted,
// this process keeps the store, as torchrun's agent does.
func start(t *testing.T, n int, role string, timeout time.Duration, hosted bool) []*rank {
	t.Helper()
	port, env := freePort(t), os.Environ()
	if hosted {
		s, err := Host("127.0.0.1", 0, timeout)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		port = s.Port
		env = append(env, "TORCHELASTIC_USE_AGENT_STORE=True", "TORCHELASTIC_RESTART_COUNT=0")
	}
	env = append(env, "DIST_TEST_ROLE="+role, "DIST_TEST_TIMEOUT="+timeout.String(),
		"MASTER_ADDR=127.0.0.1", "MASTER_PORT="+strconv.Itoa(port),
		"WORLD_SIZE="+strconv.Itoa(n), "OMP_NUM_THREADS=1")
	ranks := make([]*rank, n)
	ctx, cancel := context.WithTimeout(t.Context(), timeout+30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range ranks {
		r := &rank{}
		ranks[i] = r
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env, cmd.Stdout, cmd.Stderr = append(env[:len(env):len(env)], "RANK="+strconv.Itoa(i)), &r.out, &r.out
		begun := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if role == "stop" || role == "absent" {
			if i == 1 { // it never ends by itself
				defer func() { cmd.Process.Kill(); cmd.Wait() }()
				continue
			}
		}
		wg.Go(func() { r.err = cmd.Wait(); r.took = time.Since(begun) })
	}
	wg.Wait()
	return ranks
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestGroup(t *testing.T) {
	for _, role := range []string{"collectives", "buckets", "wait"} {
		for _, hosted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, hosted %v", role, hosted), func(t *testing.T) {
				for i, r := range start(t, 3, role, 20*time.Second, hosted) {
					if r.err != nil {
						t.Errorf("rank %d: %v\n%s", i, r.err, &r.out)
					}
				}
			})
		}
	}
}

// TestFailures checks that every survivor names the rank that failed, in time.
func TestFailures(t *testing.T) {
	const timeout = 6 * time.Second
	for _, c := range []struct {
		role   string
		hosted bool
		who    int
		want   string
	}{
		{"die", false, 1, "is silent"},
		{"die", true, 1, "is silent"},
		{"stop", true, 1, "is silent"},
		{"absent", true, 1, "did not come within 6s"},
		{"leave", true, 1, "ended: write checkpoint: no space left on device"},
		{"die in wait", true, 1, "is silent"},
		{"first dies", true, 0, "is silent"},
		{"first dies", false, 0, "the store at 127.0.0.1"},
		{"late", true, 1, "1 of 3 did not come within 6s: rank 1"},
	} {
		t.Run(fmt.Sprintf("%s, hosted %v", c.role, c.hosted), func(t *testing.T) {
			t.Parallel()
			for i, r := range start(t, 3, c.role, timeout, c.hosted) {
				if i == c.who {
					continue
				}
				out := r.out.String()
				if r.err == nil || !strings.Contains(out, c.want) || !strings.Contains(out, "rank "+strconv.Itoa(c.who)) {
					t.Errorf("rank %d: got %v and %q, want a failure that names rank %d with %q", i, r.err, &r.out, c.who, c.want)
				}
				if strings.Count(r.out.String(), "\n") != 1 {
					t.Errorf("rank %d: got %q, want one line", i, &r.out)
				}
				t.Logf("rank %d after %v: %s", i, r.took.Round(time.Millisecond), &r.out)
			}
		})
	}
}

func playCollectives(g *Group) error {
	v := []float64{1, float64(g.Rank()), math.Inf(1)}
	if err := g.Sum(v); err != nil {
		return err
	}
	if want := float64(g.Size() * (g.Size() - 1) / 2); v[0] != float64(g.Size()) || v[1] != want || !math.IsInf(v[2], 1) {
		return fmt.Errorf("sum: got %v", v)
	}
	all, err := g.Gather(bytes.Repeat([]byte{byte(g.Rank())}, 5*g.Rank()))
	if err != nil {
		return err
	}
	for r, b := range all {
		if !bytes.Equal(b, bytes.Repeat([]byte{byte(r)}, 5*r)) {
			return fmt.Errorf("gather: rank %d gave %v", r, b)
		}
	}
	return torch.Do(context.Background(), func() error {
		a, b := torch.Full(float64(g.Rank()), torch.Float32, torch.CPU, 1000, 100), torch.Full(1, torch.Int64, torch.CPU, 3)
		if err := g.AllReduce(a, b); err != nil {
			return err
		}
		if got := torch.Slice[float32](a); got[0] != 3 || got[99999] != 3 || torch.Slice[int64](b)[2] != 3 {
			return fmt.Errorf("all-reduce: got %v", got[0])
		}
		c := torch.Full(float64(g.Rank()), torch.BFloat16, torch.CPU, 7)
		if err := g.Broadcast(2, c); err != nil {
			return err
		}
		if got := c.To(torch.Float32); torch.Slice[float32](got)[6] != 2 {
			return fmt.Errorf("broadcast: got %v", torch.Slice[float32](got))
		}
		return nil
	})
}

// playBuckets sums the gradients of w1, w2 and w3 under the loss rank·(sum of w1·w2), twice, so that w3 is never
// reached.
func playBuckets(g *Group) error {
	return torch.Do(context.Background(), func() error {
		var params []*torch.Tensor
		for i := range 3 {
			params = append(params, torch.Full(float64(i+1), torch.Float32, torch.CPU, 100, 100).RequireGrad(true))
		}
		b, err := g.NewBuckets(params, 40000)
		if err != nil {
			return err
		}
		defer b.Close()
		if b.Len() != 3 {
			return fmt.Errorf("buckets: got %d, want 3", b.Len())
		}
		for range 2 {
			for range 2 { // two batches a step: the first adds, the second sends
				if err := b.Begin(); err != nil {
					return err
				}
			}
			params[0].Mul(params[1]).Sum().MulScalar(float64(g.Rank())).Backward()
			early, err := b.Finish()
			if err != nil {
				return err
			}
			if early != 0 { // w3 comes first in the order and is never filled
				return fmt.Errorf("buckets: %d left early, want 0", early)
			}
			if got := torch.Slice[float32](params[0].Grad())[7]; got != 2*3 { // w2 · (0+1+2)
				return fmt.Errorf("gradient of w1: got %v, want 6", got)
			}
			if params[2].Grad() != nil {
				return errors.New("w3 has a gradient, want none")
			}
			params[0].ClearGrad()
			params[1].ClearGrad()
		}
		if err := b.Begin(); err != nil {
			return err
		}
		params[0].Mul(params[1]).Mul(params[2]).Sum().Backward()
		early, err := b.Finish()
		if err != nil {
			return err
		}
		if got := torch.Slice[float32](params[2].Grad())[0]; early != 3 || got != 3*2 {
			return fmt.Errorf("gradient of w3: got %v with %d early, want 6 with 3", got, early)
		}
		return nil
	})
}

// playWait has rank 1 work for longer than the timeout before it comes, moving all the time.
func playWait(g *Group) error {
	if g.Rank() == 1 {
		for range 10 {
			g.Advance()
			time.Sleep(50 * time.Millisecond)
		}
	}
	return g.Wait(context.Background(), "work")
}

// A nil group is one process: every call works, and leaves what it is given as it is.
func TestAlone(t *testing.T) {
	var g *Group
	from, to := g.Share(7)
	if g.Rank() != 0 || g.Size() != 1 || g.LocalRank() != 0 || !g.IsLead() || from != 0 || to != 7 {
		t.Errorf("got rank %d of %d with the part from %d to %d", g.Rank(), g.Size(), from, to)
	}
	v := []float64{3}
	all, err := g.Gather([]byte("own"))
	if err != nil || len(all) != 1 || string(all[0]) != "own" {
		t.Errorf("gather: got %q, %v", all, err)
	}
	b, err := g.NewBuckets(nil, BucketSize)
	early, ended := b.Finish()
	err = errors.Join(err, b.Begin(), ended, g.Sum(v), g.Broadcast(0), g.AllReduce(), g.UseNCCL(0),
		g.Wait(context.Background(), "nobody"))
	if err != nil || v[0] != 3 || early != 0 {
		t.Errorf("got %v, sum %v", err, v)
	}
	g.Advance()
	g.Leave(errors.New("a reason"))
	b.Close()
	g.Close()
}
