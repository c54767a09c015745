package listen

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stamp is what a file looks like from outside; of a folder, all its files together.
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
	s := stamp{info.Size(), info.ModTime(), info}
	if !info.IsDir() {
		return s, nil
	}
	inside, err := os.ReadDir(path)
	for _, e := range inside {
		i, err := os.Stat(filepath.Join(path, e.Name())) // what a link leads to, as a download leaves them
		if err != nil || !i.Mode().IsRegular() {
			continue
		}
		if s.size += i.Size(); i.ModTime().After(s.time) {
			s.time = i.ModTime()
		}
	}
	return s, err
}

func (a stamp) same(b stamp) bool {
	return a.file != nil && b.file != nil && a.size == b.size && a.time.Equal(b.time) && os.SameFile(a.file, b.file)
}

// Watch calls changed each time that the file (or folder of files) at path is another one than before, and has not
// changed between two looks: one that is still being written is left alone, and so is one that is gone. It ends with
// ctx.
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
