package cli

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/torch"
)

// Version is the release that this source tree is, or is on the way to.
const Version = "0.1.0"

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
	return versions{Captioner: Version, Commit: commit(), LibTorch: torch.Version(),
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

// commit is the git commit that the binary was built from; "" where the build did not record it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + changed
}
