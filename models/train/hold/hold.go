// Package hold keeps the folder of a run for one process at a time: two that write into it would spoil each other's
// files.
package hold

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// TakenError says that another process works on a run.
type TakenError struct{ Dir string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("train in %q: found another process at work on this run, want it for this one alone", e.Dir)
}

// Hint says how to come by the run.
func (e *TakenError) Hint() string {
	return fmt.Sprintf("end the other process first; captioner train --resume %s then goes on", e.Dir)
}

// Take keeps the folder until release, or until the process ends in whatever way, and removes what a cut of an earlier
// one left half written. It fails with a TakenError where another process has the folder. The folder itself is locked,
// so that no file more lies in it; where the file system has no locks of folders, as some that lie on a network, every
// process may have it.
func Take(dir string) (release func(), err error) {
	l := flock.New(dir, flock.SetFlag(os.O_RDONLY))
	ok, err := l.TryLock()
	if err == nil && !ok {
		return nil, &TakenError{dir}
	}
	if err := sweep(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("train in %q: %w", dir, err), l.Close())
	}
	return func() { l.Close() }, nil
}

func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".*.tmp"))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}
