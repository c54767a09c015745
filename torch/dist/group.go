package dist

// #include "dist.h"
import "C"

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"captioner/torch"
	"captioner/torch/dist/launch"
)

// Group is the processes that work together, seen from one of them.
type Group struct {
	launch.Place
	Timeout time.Duration

	c      unsafe.Pointer
	hosted *Store // the store's service, where this process runs it
	store  *Store
	watch  *watcher
	names  []string // of each rank: "node7, process 4711"
	calls  atomic.Int64
	waits  int
}

// Join meets the other processes of p. A rank that does not come, or later fails or falls silent, ends every call of the others within
// timeout. interfaceName is the network interface to talk by (GLOO_SOCKET_IFNAME), "" for the one that the machine's name leads to.
func Join(p launch.Place, timeout time.Duration, interfaceName string) (g *Group, err error) {
	g = &Group{Place: p, Timeout: timeout}
	defer func() {
		if err != nil {
			g.Close()
			g = nil
		}
	}()
	if p.Rank == 0 && !p.Hosted {
		if g.hosted, err = Host(p.Addr, p.Port, timeout); err != nil {
			return g, err
		}
	}
	if g.store, err = Connect(p.Addr, p.Port, p.Prefix, timeout); err != nil {
		return g, err
	}
	if err = g.meet(); err != nil {
		return g, err
	}
	if g.watch, err = startWatch(g); err != nil {
		return g, err
	}
	host := ""
	if loopback(p.Addr) {
		host = p.Addr
	}
	err = with(func(t []*C.char) *C.char {
		return C.cd_group_open(&g.c, g.store.c, C.int(p.Rank), C.int(p.Size), t[0], t[1], millis(g.watch.patience()))
	}, interfaceName, host)
	if err != nil {
		return g, g.blame("join", err)
	}
	return g, nil
}

func loopback(addr string) bool {
	ip := net.ParseIP(addr)
	return addr == "localhost" || ip != nil && ip.IsLoopback()
}

// meet waits until every rank has written down who it is.
func (g *Group) meet() error {
	host, _ := os.Hostname()
	if err := g.store.Set("here/"+strconv.Itoa(g.Rank), fmt.Sprintf("%s, process %d", host, os.Getpid())); err != nil {
		return fmt.Errorf("join the other processes: %w", err)
	}
	g.names = make([]string, g.Size)
	for end := time.Now().Add(g.Timeout); ; time.Sleep(20 * time.Millisecond) {
		var missing []string
		for r := range g.names {
			name, ok, err := g.store.Get("here/" + strconv.Itoa(r))
			if err != nil {
				return fmt.Errorf("join the other processes: %w", err)
			}
			if g.names[r] = name; !ok {
				missing = append(missing, strconv.Itoa(r))
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("join the other processes at %s: %d of %d did not come within %v: rank %s", net.JoinHostPort(g.Addr, strconv.Itoa(g.Port)),
				len(missing), g.Size, g.Timeout, strings.Join(missing, ", "))
		}
	}
}

// UseNCCL lets tensors on the GPU numbered device travel by NCCL. All ranks call it, each with a GPU of its own; where it fails, they go on
// through the host.
func (g *Group) UseNCCL(device int) error {
	return failure(C.cd_nccl(g.c, C.int(device)))
}

// AllReduce replaces each tensor by the sum over all ranks. Works inside torch.Do.
func (g *Group) AllReduce(ts ...*torch.Tensor) error {
	g.calls.Add(1)
	return g.blame("sum tensors", failure(C.cd_allreduce(g.c, handles(ts), C.int(len(ts)))))
}

// Broadcast replaces each tensor by the one of rank root. Works inside torch.Do.
func (g *Group) Broadcast(root int, ts ...*torch.Tensor) error {
	g.calls.Add(1)
	return g.blame("broadcast tensors", failure(C.cd_broadcast(g.c, handles(ts), C.int(len(ts)), C.int(root))))
}

// Sum replaces each number by the sum over all ranks.
func (g *Group) Sum(v []float64) error {
	g.calls.Add(1)
	if len(v) == 0 {
		return nil
	}
	return g.blame("sum numbers", failure(C.cd_sum(g.c, (*C.double)(unsafe.SliceData(v)), C.int64_t(len(v)))))
}

// Gather gives every rank what each of them brought, by rank.
func (g *Group) Gather(b []byte) ([][]byte, error) {
	g.calls.Add(1)
	n := make([]byte, 8*g.Size)
	binary.LittleEndian.PutUint64(n, uint64(len(b)))
	err := failure(C.cd_allgather(g.c, pointer(append([]byte(nil), n[:8]...)), 8, pointer(n)))
	if err != nil {
		return nil, g.blame("gather", err)
	}
	most := 0
	lens := make([]int, g.Size)
	for r := range lens {
		lens[r] = int(binary.LittleEndian.Uint64(n[8*r:]))
		most = max(most, lens[r])
	}
	out := make([][]byte, g.Size)
	if most == 0 {
		return out, nil
	}
	in, all := make([]byte, most), make([]byte, most*g.Size)
	copy(in, b)
	if err := failure(C.cd_allgather(g.c, pointer(in), C.int64_t(most), pointer(all))); err != nil {
		return nil, g.blame("gather", err)
	}
	for r := range out {
		out[r] = all[r*most : r*most+lens[r] : r*most+lens[r]]
	}
	return out, nil
}

// Close leaves the group. After a failure, call Leave before it.
func (g *Group) Close() {
	if g.watch != nil {
		g.farewell()
		g.watch.stop()
	}
	if g.c != nil {
		C.cd_group_close(g.c)
		g.c = nil
	}
	g.store.Close()
	g.hosted.Close()
}
