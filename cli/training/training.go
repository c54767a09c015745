// Package training is the command train: its flags, what it fetches, what a person sees of a run.
package training

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/model"
	"captioner/cli/ranks"
	"captioner/models/train"
	"captioner/torch"
	"captioner/torch/dist"
	"captioner/torch/nn"
)

func Command(con *console.Console) *cli.Command {
	o := *beginWith(train.DefaultOptions())
	return &cli.Command{
		Name:  "train",
		Usage: "train a captioner on captioned images",
		Description: `Learns from --data in the run folder --out; the result is best.safetensors there, which --model of every
command takes. The encoder's features are computed once and cached. Ctrl-C saves a checkpoint, and
--resume DIR goes on from the last one to the very weights that the run would have reached.
--val captions are never learnt from: they choose the best checkpoint and give its scores.`,
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			if err := flags.NoArguments(c); err != nil {
				return err
			}
			o, err := underRecipe(c, o)
			if err != nil {
				return err
			}
			o.Text = o.text.Value()
			o.hold(c)
			switch {
			case o.Resume != "" && o.Out == "":
				o.void = voidOf(c, "a run that goes on keeps its options", ofTheRun(c))
			case o.Init != "":
				o.void = voidOf(c, "the model of --init has its own", o.hasAlready())
			}
			o.Command = commandLine(c)
			return run(c.Context, con, o)
		},
	}
}

func run(ctx context.Context, con *console.Console, o *Options) error {
	if err := o.settle(con); err != nil {
		return err
	}
	return ranks.Share(ctx, con, o.Ranks, func(ctx context.Context,
		g *dist.Group) error {
		return trainIn(ctx, con, o, g)
	})
}

// trainIn trains in this process, which may be one of a group.
func trainIn(ctx context.Context, con *console.Console, o *Options, g *dist.Group) error {
	if o.void != "" && g.IsLead() {
		con.Term.Log.Warn(o.void)
	}
	r := &progress{con: con, start: time.Now()}
	var err error
	dir := o.Out
	o.Group, o.Version = g, console.Version
	if o.Resume != "" {
		dir = o.Resume
		err = train.ResumeGroup(ctx, dir, train.Options{Group: g, Version: console.Version, Cache: o.Cache}, r.tell)
	} else {
		if err := o.fetch(ctx, con, g); err != nil {
			return err
		}
		o.quicken(ctx, con, g)
		err = train.Run(ctx, dir, o.Options, r.tell)
	}
	r.bar.Finish()
	if errors.Is(err, context.Canceled) {
		con.Term.Log.Warn("training stopped and saved", "hint", resumeCommand(dir))
		return console.ErrInterrupted
	}
	if !g.IsLead() && errors.Is(err, train.ErrNotFinite) {
		return console.ErrReported // all ranks know of it, and the first says it
	}
	var dead *dist.Error
	if errors.As(err, &dead) {
		return console.WithHint(err, "%q goes on from the last checkpoint, in as many processes or others",
			resumeCommand(dir))
	}
	if err != nil {
		return trainHint(err, dir)
	}
	if o.DryRun || !g.IsLead() {
		return nil
	}
	return r.result(dir)
}

// quicken chooses what makes linear layers, and with --precision auto the type, by what is measured on this machine. A
// run keeps the choice: it stands in its options. Ranks that share a run keep the default, which is the same for all.
func (o *Options) quicken(ctx context.Context, con *console.Console, g *dist.Group) {
	if device, err := torch.ParseDevice(o.Device); err != nil || device != torch.CPU {
		return
	}
	if o.kernels == "onednn" || o.kernels == "mkl" {
		o.Linear = o.kernels
	}
	measured := o.kernels == "measured" && g.Size() == 1
	auto := o.auto || o.lowered && measured // who asks for 16 asks for speed
	var engine nn.Engine
	bf16, ok := 0., false
	if measured || auto {
		engine, bf16, ok = model.Measured().Learning(ctx)
	}
	if measured && ok {
		o.Linear = string(engine)
		con.Term.Log.Debug("kernels", "linear", o.Linear)
	}
	switch {
	case auto && ok:
		if bf16 < 1 {
			o.Precision = "fp32"
		}
		con.Term.Log.Info(fmt.Sprintf("training in %s: linear layers learn %.1f times as quickly in bf16 as in fp32 here",
			o.Precision, bf16))
	case o.auto || o.lowered:
		con.Term.Log.Info("training in bfloat16, which needs no loss scaling")
	}
}

// resumeCommand is what goes on with a run, as a shell takes it.
func resumeCommand(dir string) string {
	return "captioner train --resume " + shellQuoted(dir)
}

// shellQuoted is a path as a shell takes it.
func shellQuoted(path string) string {
	if strings.ContainsAny(path, " \t\n\"'$`\\&;|<>()*?[]{}!#~") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// trainHint adds what may help where memory or room on the disk ran out, or the run folder cannot be written.
func trainHint(err error, dir string) error {
	var full *torch.OpError
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return console.WithHint(err, "make room; %q goes on from the last checkpoint", resumeCommand(dir))
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return console.WithHint(err,
			"a run wants a folder that it may write into: --out FOLDER; one that was begun goes on with %q", resumeCommand(dir))
	case errors.Is(err, train.ErrNotFinite):
		return console.WithHint(err, "a new run with a lower --lr or with --precision 32 may get past it; "+
			"with --init it may start from %s if that is there", filepath.Join(dir, "best.safetensors"))
	case errors.As(err, &full) && strings.Contains(full.Msg, "memory"):
		return console.WithHint(err,
			"half of --batch-size with twice of --accumulate-grad-batches learns the same with less memory")
	}
	return err
}
