//go:build standin

package standin

import (
	"encoding/json"
	"os"
	"strconv"
	"sync"

	"captioner/torch"
	"captioner/torch/standin/device"
)

// Crossings counts what passed between the host and all devices since the program started.
type Crossings struct {
	Uploads       int64 // copies to a device
	Downloads     int64 // copies from a device
	Items         int64 // numbers read from a device
	Waits         int64 // ops and calls that wait for the device for another reason, such as the number of non-zeros
	Peers         int64 // copies between devices
	UploadBytes   int64
	DownloadBytes int64
	Ops           int64 // ops computed
}

// Count is the crossings so far.
func Count() Crossings {
	c := device.Crossed()
	return Crossings{
		Uploads:       c[0],
		Downloads:     c[1],
		Items:         c[2],
		Waits:         c[3],
		Peers:         c[4],
		UploadBytes:   c[5],
		DownloadBytes: c[6],
		Ops:           c[7],
	}
}

// Since is what was counted between a and c.
func (c Crossings) Since(a Crossings) Crossings {
	return Crossings{
		Uploads:       c.Uploads - a.Uploads,
		Downloads:     c.Downloads - a.Downloads,
		Items:         c.Items - a.Items,
		Waits:         c.Waits - a.Waits,
		Peers:         c.Peers - a.Peers,
		UploadBytes:   c.UploadBytes - a.UploadBytes,
		DownloadBytes: c.DownloadBytes - a.DownloadBytes,
		Ops:           c.Ops - a.Ops,
	}
}

// Waiting is how often the host waited for a device: downloads, numbers and other waits.
func (c Crossings) Waiting() int64 { return c.Downloads + c.Items + c.Waits }

// SetLimit bounds the memory of GPU number gpu; 0 for no bound.
func SetLimit(gpu int, bytes int64) { device.Limit(gpu, bytes) }

// Used is the memory that tensors of GPU number gpu have now, and the most that they had.
func Used(gpu int) (now, peak int64) { return device.Used(gpu) }

// Trace prints each crossing on standard error, or stops it.
func Trace(on bool) { device.Trace(on) }

// Peek reads a byte of t as host code would: for a tensor of a device the process ends. A test of that runs it in a
// process of its own.
func Peek(t *torch.Tensor) int { return device.Peek(t.Handle()) }

var install sync.Once

// Install puts the stand-in in CUDA's place, before anything else asks for a GPU. It reads the environment that the
// package's comment names.
func Install() {
	install.Do(func() {
		n := int(number("STANDIN_DEVICES", 2))
		torch.ReplaceCUDA(device.Install(n), n, device.Graphs())
		for d := range n {
			SetLimit(d, number("STANDIN_MEMORY", 0))
		}
		Trace(os.Getenv("STANDIN_TRACE") != "")
	})
}

func number(name string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil && n >= 0 {
		return n
	}
	return otherwise
}

// Report writes the crossings to the file that STANDIN_REPORT names, if any.
func Report() error {
	name := os.Getenv("STANDIN_REPORT")
	if name == "" {
		return nil
	}
	b, err := json.Marshal(Count())
	if err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o666)
}
