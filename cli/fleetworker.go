package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/fleet"
	"captioner/cli/model"
)

// newWorker is the hidden command of the processes that --device cuda:all starts.
func newWorker(con *console.Console, load model.Loader) *cli.Command {
	var o flags.Model
	return &cli.Command{
		Name:   fleet.Command,
		Hidden: true,
		Flags:  o.Flags(),
		Action: func(c *cli.Context) error {
			if err := errors.Join(flags.NoArguments(c), o.Validate()); err != nil {
				return err
			}
			return fleet.Work(c.Context, con.Stdin, con.Stdout, func() (model.Model, error) {
				return model.Open(c.Context, con, load, o)
			})
		},
	}
}
