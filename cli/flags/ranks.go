package flags

import (
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
)

// Ranks say how many processes share the work.
type Ranks struct {
	Processes int // after Validate: 1 or more, or OnGPUs
	Timeout   time.Duration

	processes string
}

// OnGPUs stands for a process on each GPU, however many there are.
const OnGPUs = -1

// Flags are the flags that set o.
func (o *Ranks) Flags() []cli.Flag {
	const category = "SEVERAL PROCESSES"
	return []cli.Flag{
		&cli.StringFlag{Name: "nproc", Value: "1",
			Usage: "`N` processes on this machine that share the work, or gpu: one on each GPU; torchrun, srun and PyTorchJob " +
				"start them themselves",
			Category: category, Destination: &o.processes},
		&cli.DurationFlag{Name: "dist-timeout", Value: 10 * time.Minute,
			Usage:    "without a sign of life of one process, after which the others end and name it",
			Category: category, Destination: &o.Timeout},
	}
}

// Validate reads the numbers and checks them.
func (o *Ranks) Validate() error {
	if o.processes == "gpu" {
		o.Processes = OnGPUs
	} else if n, err := strconv.Atoi(o.processes); err != nil || n < 1 || n > 1024 {
		return console.Usagef("", "--nproc %s: want 1 to 1024, or gpu", o.processes)
	} else {
		o.Processes = n
	}
	if o.Timeout < time.Second {
		return console.Usagef("", "--dist-timeout %v: want 1s or more", o.Timeout)
	}
	return nil
}
