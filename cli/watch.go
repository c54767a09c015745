package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"captioner/data/image"
)

// Times of --watch: a picture is taken when its file has not changed for watchSettle; one that looks cut off is tried again until it has not
// changed for watchGiveUp.
const (
	watchSettle = time.Second
	watchGiveUp = 15 * time.Second
)

// watcher lists the pictures in folders, and then those that appear there, until its context ends.
type watcher struct {
	in     inputs
	term   *terminal
	events *fsnotify.Watcher

	mu      sync.Mutex
	pending map[string]waiting // by path
	known   map[pictureKey]struct{}
}

// waiting is a picture that is not taken yet.
type waiting struct {
	key   string
	stamp stamp
	since time.Time // when it last changed, as far as is known
	again bool      // it was taken before, and found cut off
}

func newWatcher(in inputs, t *terminal) (*watcher, error) {
	events, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return &watcher{in: in, term: t, events: events, pending: make(map[string]waiting), known: make(map[pictureKey]struct{})}, nil
}

// checkWatched: every argument is a folder.
func checkWatched(args []string) error {
	for _, a := range args {
		if info, err := os.Stat(a); err != nil {
			return fmt.Errorf("watch %q: %w", a, reason(err))
		} else if !info.IsDir() {
			return usagef("", "--watch takes folders, found %q", a)
		}
	}
	return nil
}

// all lists first what is there. A file that changed a moment ago may not be whole yet, and waits like those that appear.
func (w *watcher) all(ctx context.Context, yield func(input) bool) {
	defer w.events.Close()
	var lost []input
	w.in.enter = func(dir string) {
		if err := w.events.Add(dir); err != nil {
			lost = append(lost, failed(dir, w.addError(err)))
		}
	}
	for in := range w.in.all() {
		info, err := os.Stat(in.path)
		if in.err == nil && err == nil && time.Since(info.ModTime()) < watchSettle {
			w.expect(in.path, in.key)
			continue
		}
		if in.err == nil && err == nil {
			w.know(in.path, stampOf(info))
		}
		if !yield(in) {
			return
		}
	}
	for _, in := range lost {
		if !yield(in) {
			return
		}
	}
	w.term.log.Info(fmt.Sprintf("watching %d folders; Ctrl-C ends it", len(w.events.WatchList())))
	tick := time.NewTicker(watchSettle / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-w.events.Events:
			if !open || !w.event(e, yield) {
				return
			}
		case err := <-w.events.Errors:
			if !w.trouble(err, yield) {
				return
			}
		case <-tick.C:
			for _, in := range w.ready() {
				if !yield(in) {
					return
				}
			}
		}
	}
}

func (w *watcher) addError(err error) error {
	err = fmt.Errorf("watch it: %w", err)
	if errors.Is(err, syscall.ENOSPC) {
		return withHint(err, "the system watches no more folders: raise fs.inotify.max_user_watches by sysctl")
	}
	return err
}

// event notes what changed. Pictures are taken later, when they have settled.
func (w *watcher) event(e fsnotify.Event, yield func(input) bool) bool {
	switch {
	case e.Has(fsnotify.Create), e.Has(fsnotify.Write):
		info, err := os.Stat(e.Name)
		if err == nil && info.IsDir() {
			return !e.Has(fsnotify.Create) || w.folder(e.Name, yield)
		}
		if err == nil {
			w.expect(e.Name, w.key(e.Name))
		}
	case e.Has(fsnotify.Remove), e.Has(fsnotify.Rename):
		w.mu.Lock()
		delete(w.pending, e.Name)
		w.mu.Unlock()
		if slices.Contains(w.in.args, e.Name) {
			w.term.log.Warn(fmt.Sprintf("the watched folder %q is gone", e.Name))
		}
	}
	return true
}

// folder watches a new folder, and expects what came into it before.
func (w *watcher) folder(dir string, yield func(input) bool) bool {
	if !w.in.recursive || strings.HasPrefix(filepath.Base(dir), ".") {
		return true
	}
	in := w.in
	in.enter = func(dir string) {
		if err := w.events.Add(dir); err != nil {
			yield(failed(dir, w.addError(err)))
		}
	}
	for i := range in.walk(place{path: dir}, new(census)) {
		if i.err == nil {
			w.expect(i.path, w.key(i.path))
		}
	}
	return true
}

// trouble: events that were lost are made good by looking through all folders.
func (w *watcher) trouble(err error, yield func(input) bool) bool {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.term.log.Warn("watch: " + err.Error())
		return true
	}
	w.term.log.Warn("more changed at once than the system could tell: looking through all folders")
	for _, dir := range w.in.args {
		if !w.folder(dir, yield) {
			return false
		}
	}
	return true
}

// key is the path below the argument that it belongs to.
func (w *watcher) key(path string) string {
	for _, root := range w.in.args {
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(filepath.Clean(root), "/")+"/"); ok {
			return rest
		}
	}
	return path
}

func (w *watcher) know(path string, s stamp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[keyOf(path, s)] = struct{}{}
}

// expect notes that a picture came or changed.
func (w *watcher) expect(path, key string) {
	if strings.HasPrefix(filepath.Base(path), ".") || !slices.Contains(extensions, strings.ToLower(filepath.Ext(path))) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending[path] = waiting{key: key, since: time.Now()}
}

// ready takes the pictures that have settled, in natural order.
func (w *watcher) ready() (out []input) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for path, p := range w.pending {
		info, err := os.Stat(path)
		if err != nil {
			delete(w.pending, path) // it went away again
			continue
		}
		if s := stampOf(info); s != p.stamp {
			p.stamp, p.since = s, now
			w.pending[path] = p
		}
		if now.Sub(p.since) < watchSettle {
			continue
		}
		if beingWritten(path) {
			p.since = now
			w.pending[path] = p
			continue
		}
		delete(w.pending, path)
		if _, done := w.known[keyOf(path, p.stamp)]; done && !p.again {
			continue
		}
		w.known[keyOf(path, p.stamp)] = struct{}{}
		out = append(out, input{path: path, key: p.key})
	}
	slices.SortFunc(out, func(a, b input) int { return comparePaths(a.path, b.path) })
	return out
}

// again says whether a picture that was cut off may become whole, and then expects it once more.
func (w *watcher) again(r input) bool {
	if !errors.Is(r.err, image.ErrTruncated) && !errors.Is(r.err, image.ErrEmpty) && !errors.Is(r.err, image.ErrCorrupt) {
		return false
	}
	if time.Since(time.Unix(0, r.stamp.time)) > watchGiveUp {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.pending[r.path]; !there {
		w.pending[r.path] = waiting{key: r.key, stamp: r.stamp, since: time.Now(), again: true}
	}
	return true
}

// beingWritten says whether a process of this machine has the file open for writing, as far as the system tells: nobody gets a read lease on
// such a file.
func beingWritten(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	_, _, e := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_SETLEASE, syscall.F_RDLCK)
	if e == 0 {
		syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_SETLEASE, syscall.F_UNLCK)
	}
	return e == syscall.EAGAIN
}
