package paths

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// Guard knows the files that a command writes and that are there already, for what is read but could not be listed
// before the command began: names on standard input, files that come into a folder.
type Guard []written

// NewGuard looks at what is there now.
func NewGuard(command string, c *cli.Context, stdout io.Writer) (g Guard) {
	k := new(checker)
	if w, ok := redirected(stdout); ok {
		g = append(g, w)
	}
	for _, n := range collect(command, c) {
		if n.use != Write {
			continue
		}
		if w := k.written(c, n); w.info != nil {
			g = append(g, w)
		}
	}
	return g
}

// Check refuses a file that is read if it is one of those.
func (g Guard) Check(path string) error {
	if len(g) == 0 {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil // reading it says so
	}
	for _, w := range g {
		if os.SameFile(info, w.info) {
			return w.refuse("", path)
		}
	}
	return nil
}

// Named are the files that a command line names, with its words for each, but for what is captioned.
func Named(command string, c *cli.Context) map[string]string {
	files := make(map[string]string)
	k := new(checker)
	for _, n := range collect(command, c) {
		switch n.use {
		case Write:
			files[k.written(c, n).path] = n.label
		case Read, DataSet:
			files[n.path] = n.label
		}
	}
	return files
}
