package transfer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Lock keeps other processes from fetching the same thing at the same time; path is its lock file, which stays: who
// waits for it must not be left with a lock on a name that is gone. It waits until the context ends.
func (c *Client) Lock(ctx context.Context, name, path string) (unlock func(), err error) {
	fail := func(err error) error {
		return &SettingError{fmt.Errorf("fetch %q: lock %q: %w", name, path, Reason(err)),
			"set CAPTIONER_CACHE (HF_HOME for models of the hub) to a folder that can be written"}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, fail(err)
	}
	l := flock.New(path, flock.SetPermissions(0o666)) // of a cache that several people may share
	ok, err := l.TryLock()
	if err == nil && !ok {
		c.notice("%s: another process is fetching it: waiting", name)
		_, err = l.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		l.Close()
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fail(err)
	}
	return func() { l.Close() }, nil
}
