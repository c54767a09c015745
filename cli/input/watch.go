package input

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

	"captioner/cli/console"
	"captioner/data/image"
	"captioner/weights"
	"captioner/weights/plural"
)

// Times of --watch: an image is taken when its file has not changed for watchSettle; one that looks cut off is tried
// again until it has not changed for watchGiveUp.
const (
	WatchSettle = time.Second
	watchGiveUp = 15 * time.Second
)

// Watcher lists the images in folders, and then those that appear there, until its context ends.
type Watcher struct {
	in     Inputs
	term   *console.Terminal
	events *fsnotify.Watcher

	mu      sync.Mutex
	pending map[string]waiting // by path
	known   map[ID]struct{}
}

// waiting is an image that is not taken yet.
type waiting struct {
	key   string
	stamp Stamp
	since time.Time // when it last changed, as far as is known
	again bool      // it was taken before, and found cut off
}

// NewWatcher watches the folders of in.
func NewWatcher(in Inputs, t *console.Terminal) (*Watcher, error) {
	events, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return &Watcher{in: in, term: t, events: events, pending: make(map[string]waiting), known: make(map[ID]struct{})}, nil
}

// CheckWatched: every argument is a folder.
func CheckWatched(args []string) error {
	for _, a := range args {
		if info, err := os.Stat(a); err != nil {
			return fmt.Errorf("watch %q: %w", a, weights.Reason(err))
		} else if !info.IsDir() {
			return console.Usagef("", "--watch takes folders, found %q", a)
		}
	}
	return nil
}

// All lists first what is there. A file that changed a moment ago may not be whole yet, and waits like those that
// appear.
func (w *Watcher) All(ctx context.Context, yield func(Input) bool) {
	defer w.events.Close()
	var lost []Input
	w.in.enter = func(dir string) {
		if err := w.events.Add(dir); err != nil {
			lost = append(lost, failed(dir, w.addError(err)))
		}
	}
	for in := range w.in.All() {
		info, err := os.Stat(in.Path)
		if in.Err == nil && err == nil && time.Since(info.ModTime()) < WatchSettle {
			w.expect(in.Path, in.Key)
			continue
		}
		if in.Err == nil && err == nil {
			w.know(in.Path, StampOf(info))
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
	w.term.Log.Info(fmt.Sprintf("watching %s; Ctrl-C ends it", plural.Count(len(w.events.WatchList()), "folder")))
	tick := time.NewTicker(WatchSettle / 4)
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

func (w *Watcher) addError(err error) error {
	err = fmt.Errorf("watch it: %w", err)
	if errors.Is(err, syscall.ENOSPC) {
		return console.WithHint(err, "the system watches no more folders: raise fs.inotify.max_user_watches by sysctl")
	}
	return err
}

// event notes what changed. Images are taken later, when they have settled.
func (w *Watcher) event(e fsnotify.Event, yield func(Input) bool) bool {
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
		if slices.Contains(w.in.Args, e.Name) {
			w.term.Log.Warn(fmt.Sprintf("the watched folder %q is gone", e.Name))
		}
	}
	return true
}

// folder watches a new folder, and expects what came into it before.
func (w *Watcher) folder(dir string, yield func(Input) bool) bool {
	if !w.in.Recursive || strings.HasPrefix(filepath.Base(dir), ".") {
		return true
	}
	in := w.in
	in.enter = func(dir string) {
		if err := w.events.Add(dir); err != nil {
			yield(failed(dir, w.addError(err)))
		}
	}
	for i := range in.walk(place{path: dir}, new(census)) {
		if i.Err == nil {
			w.expect(i.Path, w.key(i.Path))
		}
	}
	return true
}

// trouble: events that were lost are made good by looking through all folders.
func (w *Watcher) trouble(err error, yield func(Input) bool) bool {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.term.Log.Warn("watch: " + err.Error())
		return true
	}
	w.term.Log.Warn("more changed at once than the system could tell: looking through all folders")
	for _, dir := range w.in.Args {
		if !w.folder(dir, yield) {
			return false
		}
	}
	return true
}

// key is the path below the argument that it belongs to.
func (w *Watcher) key(path string) string {
	for _, root := range w.in.Args {
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(filepath.Clean(root), "/")+"/"); ok {
			return rest
		}
	}
	return path
}

func (w *Watcher) know(path string, s Stamp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[IDOf(path, s)] = struct{}{}
}

// expect notes that an image came or changed.
func (w *Watcher) expect(path, key string) {
	if strings.HasPrefix(filepath.Base(path), ".") || !image.HasExtension(path) && !image.HasRawExtension(path) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending[path] = waiting{key: key, since: time.Now()}
}

// ready takes the images that have settled, in natural order.
func (w *Watcher) ready() (out []Input) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for path, p := range w.pending {
		info, err := os.Stat(path)
		if err != nil {
			delete(w.pending, path) // it went away again
			continue
		}
		if s := StampOf(info); s != p.stamp {
			p.stamp, p.since = s, now
			w.pending[path] = p
		}
		if now.Sub(p.since) < WatchSettle {
			continue
		}
		if beingWritten(path) {
			p.since = now
			w.pending[path] = p
			continue
		}
		delete(w.pending, path)
		if _, done := w.known[IDOf(path, p.stamp)]; done && !p.again {
			continue
		}
		w.known[IDOf(path, p.stamp)] = struct{}{}
		out = append(out, Input{Path: path, Key: p.key})
	}
	slices.SortFunc(out, func(a, b Input) int { return ComparePaths(a.Path, b.Path) })
	return out
}

// Again says whether an image that was cut off may become whole, and then expects it once more.
func (w *Watcher) Again(r Input) bool {
	if !errors.Is(r.Err, image.ErrTruncated) && !errors.Is(r.Err, image.ErrEmpty) && !errors.Is(r.Err, image.ErrCorrupt) {
		return false
	}
	if time.Since(time.Unix(0, r.Stamp.time)) > watchGiveUp {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.pending[r.Path]; !there {
		w.pending[r.Path] = waiting{key: r.Key, stamp: r.Stamp, since: time.Now(), again: true}
	}
	return true
}
