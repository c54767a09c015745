package cli

import (
	"time"

	"github.com/urfave/cli/v2"
)

// rankOptions say how many processes share the work.
type rankOptions struct {
	Processes int
	Timeout   time.Duration
}

func (o *rankOptions) flags() []cli.Flag {
	const category = "SEVERAL PROCESSES"
	return []cli.Flag{
		&cli.IntFlag{Name: "nproc", Value: 1, Usage: "processes on this machine that share the work; torchrun, srun and PyTorchJob start them themselves", Category: category, Destination: &o.Processes},
		&cli.DurationFlag{Name: "dist-timeout", Value: 10 * time.Minute, Usage: "without a sign of life of one process, after which the others end and name it", Category: category, Destination: &o.Timeout},
	}
}

func (o *rankOptions) validate() error {
	if o.Processes < 1 || o.Processes > 1024 {
		return usagef("", "--nproc %d: want 1 to 1024", o.Processes)
	}
	if o.Timeout < time.Second {
		return usagef("", "--dist-timeout %v: want 1s or more", o.Timeout)
	}
	return nil
}
