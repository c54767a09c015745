package cli

import (
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/torch"
)

func newVersion(con *console.Console) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the versions of captioner, libtorch and Go",
		Action: func(c *cli.Context) error {
			if err := flags.NoArguments(c); err != nil {
				return err
			}
			return runVersion(con)
		},
	}
}

// versions is what "captioner version --json" prints.
type versions struct {
	Captioner string `json:"captioner"`
	Commit    string `json:"commit,omitempty"` // of the source, "+changes" where it was changed since
	LibTorch  string `json:"libtorch"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
}

func thisVersion() versions {
	return versions{Captioner: console.Version, Commit: console.Commit(), LibTorch: torch.Version(),
		Go:       strings.TrimPrefix(runtime.Version(), "go"),
		Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

func runVersion(con *console.Console) error {
	v := thisVersion()
	if con.Options.JSON {
		return console.WriteJSON(con.Stdout, v)
	}
	at := ""
	if v.Commit != "" {
		at = " (" + v.Commit + ")"
	}
	return con.Printf("captioner %s%s, libtorch %s, go %s, %s\n", v.Captioner, at, v.LibTorch, v.Go, v.Platform)
}
