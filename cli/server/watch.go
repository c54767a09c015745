package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// stamp is what a file looks like from outside.
type stamp struct {
	size int64
	time time.Time
	file fs.FileInfo
}

func look(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.Size(), info.ModTime(), info}, nil
}

func (a stamp) same(b stamp) bool {
	return a.file != nil && b.file != nil && a.size == b.size && a.time.Equal(b.time) && os.SameFile(a.file, b.file)
}

// Watch calls changed each time that the file at path is another one than before, and has not changed between two looks: one that is still
// being written is left alone, and so is one that is gone. It ends with ctx.
func Watch(ctx context.Context, path string, every time.Duration, changed func()) error {
	known, err := look(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	last := known
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := look(path)
		if err != nil {
			continue
		}
		if now.same(last) && !now.same(known) {
			known = now
			changed()
		}
		last = now
	}
}
