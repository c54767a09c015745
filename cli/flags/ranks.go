package flags

import (
	"time"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
)

// Ranks say how many processes share the work.
type Ranks struct {
	Processes int
	Timeout   time.Duration
}

// Flags are the flags that set o.
func (o *Ranks) Flags() []cli.Flag {
	const category = "SEVERAL PROCESSES"
	return []cli.Flag{
		&cli.IntFlag{Name: "nproc", Value: 1,
			Usage:    "processes on this machine that share the work; torchrun, srun and PyTorchJob start them themselves",
			Category: category, Destination: &o.Processes},
		&cli.DurationFlag{Name: "dist-timeout", Value: 10 * time.Minute,
			Usage:    "without a sign of life of one process, after which the others end and name it",
			Category: category, Destination: &o.Timeout},
	}
}

// Validate checks the numbers.
func (o *Ranks) Validate() error {
	if o.Processes < 1 || o.Processes > 1024 {
		return console.Usagef("", "--nproc %d: want 1 to 1024", o.Processes)
	}
	if o.Timeout < time.Second {
		return console.Usagef("", "--dist-timeout %v: want 1s or more", o.Timeout)
	}
	return nil
}
