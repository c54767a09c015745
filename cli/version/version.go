// Package version says which captioner this is, and of what it was built.
package version

import (
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/torch"
)

// Command is the command version.
func Command(con *console.Console) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the versions of captioner, libtorch and Go",
		Action: func(c *cli.Context) error {
			if err := flags.NoArguments(c); err != nil {
				return err
			}
			return Print(con)
		},
	}
}

// Versions is what "captioner version --json" prints.
type Versions struct {
	Captioner string `json:"captioner"`
	Commit    string `json:"commit,omitempty"` // of the source, "+changes" where it was changed since
	Date      string `json:"date,omitempty"`   // of the commit
	LibTorch  string `json:"libtorch"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
}

// This is the running program.
func This() Versions {
	return Versions{Captioner: console.Version, Commit: console.Commit(), Date: console.Date(),
		LibTorch: torch.Version(), Go: strings.TrimPrefix(runtime.Version(), "go"),
		Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// Print writes the versions in a line, or as JSON.
func Print(con *console.Console) error {
	v := This()
	if con.Options.JSON {
		return console.WriteJSON(con.Stdout, v)
	}
	at := ""
	if v.Commit != "" {
		at = " (" + v.Commit + ", " + v.Date + ")"
	}
	return con.Printf("captioner %s%s, libtorch %s, go %s, %s\n", v.Captioner, at, v.LibTorch, v.Go, v.Platform)
}
