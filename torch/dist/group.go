package dist

// #include "c10d/dist.h"
import "C"

import (
	"encoding/binary"
	"net"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"captioner/torch"
	"captioner/torch/dist/launch"
)

// Group is the processes that work together, seen from one of them. A nil group is one process alone: it is rank 0 of
// 1, sums and broadcasts leave everything as it is, and nobody is waited for.
type Group struct {
	peers
	c     unsafe.Pointer
	waits int // calls of Wait
}

// peers is what a rank knows about the others, by the store at which they meet.
type peers struct {
	place   launch.Place
	timeout time.Duration
	hosted  *Store // the store's service, where this process runs it
	store   *Store
	names   []string // of each rank: "node7, process 4711"
	heart   *heart
	calls   atomic.Int64 // collectives that this rank has begun
}

// Join meets the other processes of p. A rank that does not come, or later fails or falls silent, ends every call of
// the others within timeout. interfaceName is the network interface to talk by (GLOO_SOCKET_IFNAME), "" for the one
// that the machine's name leads to.
func Join(p launch.Place, timeout time.Duration, interfaceName string) (g *Group, err error) {
	g = &Group{peers: peers{place: p, timeout: timeout}}
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
	if g.heart, err = startHeart(&g.peers); err != nil {
		return g, err
	}
	host := ""
	if loopback(p.Addr) {
		host = p.Addr
	}
	err = with(func(t []*C.char) *C.char {
		return C.cd_group_open(&g.c, g.store.c, C.int(p.Rank), C.int(p.Size), t[0], t[1], millis(g.heart.patience()))
	}, interfaceName, host)
	if err != nil {
		return g, g.blame("join", err)
	}
	return g, nil
}

// Rank is this process's number, from 0 to Size less one.
func (g *Group) Rank() int {
	if g == nil {
		return 0
	}
	return g.place.Rank
}

// Size is the number of processes.
func (g *Group) Size() int {
	if g == nil {
		return 1
	}
	return g.place.Size
}

// LocalRank is this process's number among those on its machine.
func (g *Group) LocalRank() int {
	if g == nil {
		return 0
	}
	return g.place.LocalRank
}

// Device is torch.ParseDevice for this process: where s leaves the choice, each of several processes on a machine
// takes a GPU of its own.
func (g *Group) Device(s string) (torch.Device, error) {
	dev, err := torch.ParseDevice(s)
	if err != nil || g == nil || !dev.IsCUDA() || s != "auto" && s != "cuda" {
		return dev, err
	}
	return torch.ParseDevice("cuda:" + strconv.Itoa(g.place.LocalRank))
}

// IsLead says whether this is rank 0, which writes and prints for all.
func (g *Group) IsLead() bool { return g.Rank() == 0 }

// Share is this rank's part of n things: those from from to to, without to.
func (g *Group) Share(n int) (from, to int) {
	return g.Rank() * n / g.Size(), (g.Rank() + 1) * n / g.Size()
}

func loopback(addr string) bool {
	ip := net.ParseIP(addr)
	return addr == "localhost" || ip != nil && ip.IsLoopback()
}

// UseNCCL lets tensors on the GPU numbered device travel by NCCL. All ranks call it, each with a GPU of its own; where
// it fails, they go on through the host.
func (g *Group) UseNCCL(device int) error {
	if g == nil {
		return nil
	}
	return failure(C.cd_nccl(g.c, C.int(device)))
}

// AllReduce replaces each tensor by the sum over all ranks. Works inside torch.Do.
func (g *Group) AllReduce(ts ...*torch.Tensor) error {
	if g == nil {
		return nil
	}
	g.calls.Add(1)
	return g.blame("sum tensors", failure(C.cd_allreduce(g.c, handles(ts), C.int(len(ts)))))
}

// Broadcast replaces each tensor by the one of rank root. Works inside torch.Do.
func (g *Group) Broadcast(root int, ts ...*torch.Tensor) error {
	if g == nil {
		return nil
	}
	g.calls.Add(1)
	return g.blame("broadcast tensors", failure(C.cd_broadcast(g.c, handles(ts), C.int(len(ts)), C.int(root))))
}

// Sum replaces each number by the sum over all ranks.
func (g *Group) Sum(v []float64) error {
	if g == nil {
		return nil
	}
	g.calls.Add(1)
	if len(v) == 0 {
		return nil
	}
	return g.blame("sum numbers", failure(C.cd_sum(g.c, (*C.double)(unsafe.SliceData(v)), C.int64_t(len(v)))))
}

// Gather gives every rank what each of them brought, by rank.
func (g *Group) Gather(b []byte) ([][]byte, error) {
	if g == nil {
		return [][]byte{b}, nil
	}
	g.calls.Add(1)
	n := make([]byte, 8*g.place.Size)
	binary.LittleEndian.PutUint64(n, uint64(len(b)))
	err := failure(C.cd_allgather(g.c, pointer(append([]byte(nil), n[:8]...)), 8, pointer(n)))
	if err != nil {
		return nil, g.blame("gather", err)
	}
	most := 0
	lens := make([]int, g.place.Size)
	for r := range lens {
		lens[r] = int(binary.LittleEndian.Uint64(n[8*r:]))
		most = max(most, lens[r])
	}
	out := make([][]byte, g.place.Size)
	if most == 0 {
		return out, nil
	}
	in, all := make([]byte, most), make([]byte, most*g.place.Size)
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
	if g == nil {
		return
	}
	if g.heart != nil {
		g.farewell()
		g.heart.stop()
	}
	if g.c != nil {
		C.cd_group_close(g.c)
		g.c = nil
	}
	g.store.Close()
	g.hosted.Close()
}
