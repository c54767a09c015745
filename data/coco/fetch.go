package coco

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"captioner/weights/plural"
	"captioner/weights/store"
)

// archive is one of COCO's, and what of it is wanted.
type archive struct {
	url  string
	want func(name string) bool
}

const (
	host      = "images.cocodataset.org"
	published = 20_196_000_000 // bytes of what is wanted of the archives, for a first word
)

var archives = []archive{
	{"http://" + host + "/annotations/annotations_trainval2014.zip", func(name string) bool {
		return name == "annotations/captions_train2014.json" || name == "annotations/captions_val2014.json"
	}},
	{"http://" + host + "/zips/train2014.zip", pictureIn("train2014/")},
	{"http://" + host + "/zips/val2014.zip", pictureIn("val2014/")},
}

func pictureIn(folder string) func(string) bool {
	return func(name string) bool { return strings.HasPrefix(name, folder) && path.Ext(name) == ".jpg" }
}

// Options say how Fetch works.
type Options struct {
	Folder      string // where annotations, train2014 and val2014 come
	Connections int    // at once; 1 or more
	Notice      func(string)
	Progress    func(done, total int64) // bytes of the archives; what is here already counts as done
}

// Paths are what Fetch has made.
type Paths struct{ Captions, Images, ValCaptions, ValImages string }

// Lost are members that could not be had whole, though the rest was.
type Lost struct {
	Names  []string
	Reason error // of the first
}

func (l *Lost) Error() string {
	return fmt.Sprintf("fetch COCO 2014: %s could not be had whole after several tries: %s (first: %v)",
		plural.Count(len(l.Names), "file"), strings.Join(l.Names, ", "), l.Reason)
}

// Hint says what to do about it.
func (l *Lost) Hint() string { return "run the same again: only these are fetched" }

// doneFile says in the folder that all is there, so that nobody looks at 123,287 files again.
const doneFile = "complete"

func paths(folder string) Paths {
	return Paths{filepath.Join(folder, "annotations", "captions_train2014.json"), filepath.Join(folder, "train2014"),
		filepath.Join(folder, "annotations", "captions_val2014.json"), filepath.Join(folder, "val2014")}
}

// Fetch brings COCO 2014 into a folder: captions and photographs of train2014 and val2014. It says how much there is to
// fetch and whether the disk can hold it, goes on with what an earlier fetch left, and checks every file by size and
// CRC. Files that stay damaged are named in a *Lost, after all others have come.
func Fetch(ctx context.Context, s *store.Store, o Options) (Paths, error) {
	p := paths(o.Folder)
	done := filepath.Join(o.Folder, doneFile)
	if _, err := os.Stat(done); err == nil {
		return p, nil
	}
	if err := os.MkdirAll(o.Folder, 0o777); err != nil {
		return p, fmt.Errorf("fetch COCO 2014: %w", err)
	}
	unlock, err := lock(ctx, o)
	if err != nil {
		return p, fmt.Errorf("fetch COCO 2014: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(done); err == nil { // who had the lock
		return p, nil
	}
	o.Notice(fmt.Sprintf("COCO 2014, about %s of photographs and captions, comes from %s into %q", gigabytes(published),
		host, o.Folder))
	f := &fetch{store: s, o: o}
	if err := f.plan(ctx); err != nil {
		return p, err
	}
	for _, dir := range []string{"annotations", "train2014", "val2014"} {
		if err := os.MkdirAll(filepath.Join(o.Folder, dir), 0o777); err != nil {
			return p, fmt.Errorf("fetch COCO 2014: %w", err)
		}
	}
	if err := f.run(ctx); err != nil {
		return p, err
	}
	syncAll()
	if err := os.WriteFile(done, nil, 0o666); err != nil {
		return p, fmt.Errorf("fetch COCO 2014: %w", err)
	}
	return p, nil
}

func lock(ctx context.Context, o Options) (func(), error) {
	l := flock.New(filepath.Join(o.Folder, ".lock"), flock.SetPermissions(0o666))
	ok, err := l.TryLock()
	if err == nil && !ok {
		o.Notice("COCO 2014: another process is fetching it: waiting")
		_, err = l.TryLockContext(ctx, 100*time.Millisecond)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return func() { l.Close() }, nil
}

// fetch is one under way.
type fetch struct {
	store *store.Store
	o     Options
	parts []part
	total int64
	done  atomic.Int64
	files atomic.Int64

	mu   sync.Mutex
	lost Lost
}

// part is an archive with what of it is missing.
type part struct {
	remote  *store.Remote
	missing []member
}

// plan reads the archives' directories and compares them with the folder.
func (f *fetch) plan(ctx context.Context) error {
	var files, here, need int64
	for _, a := range archives {
		r := f.store.Remote(path.Base(a.url), a.url)
		n, err := r.Size(ctx)
		if errors.Is(err, store.ErrNetwork) || errors.Is(err, store.ErrOffline) {
			return &unreached{err, f.o.Folder}
		}
		if err != nil {
			return err
		}
		all, err := directory(&window{ctx: ctx, r: r, size: n}, n)
		if err != nil {
			return fmt.Errorf("fetch COCO 2014: read the directory of %s: %w", a.url, err)
		}
		all = slices.DeleteFunc(all, func(m member) bool { return !a.want(m.name) || !filepath.IsLocal(m.name) })
		if len(all) == 0 {
			return fmt.Errorf("fetch COCO 2014: found nothing of COCO in %s", a.url)
		}
		missing, err := missingOf(ctx, f.o.Folder, all)
		if err != nil {
			return err
		}
		for _, m := range all {
			files++
			f.total += m.end - m.offset
		}
		for _, m := range missing {
			need += m.size
			here -= m.end - m.offset
		}
		f.parts = append(f.parts, part{r, missing})
		files -= int64(len(missing))
		f.files.Add(int64(len(missing)))
	}
	here += f.total
	f.done.Store(here)
	f.o.Notice(fmt.Sprintf("COCO 2014 goes to %q: %s of %s to fetch, %d are here", f.o.Folder,
		plural.Count(f.files.Load(), "file"),
		gigabytes(f.total-here), files))
	if free, ok := f.store.Free(f.o.Folder); ok && need > free {
		return &noRoom{fmt.Sprintf("fetch COCO 2014: %s are free in %q, want %s", gigabytes(free), f.o.Folder,
			gigabytes(need))}
	}
	return nil
}

// unreached is why nothing could be fetched: there is no way to the publisher.
type unreached struct {
	error
	folder string
}

func (e *unreached) Unwrap() error { return e.error }
func (e *unreached) Hint() string {
	way := "check the network (a proxy goes into HTTP_PROXY, a mirror into CAPTIONER_MIRROR)"
	if errors.Is(e, store.ErrOffline) {
		way = "unset HF_HUB_OFFLINE"
	}
	return fmt.Sprintf("%s; with --data, train takes other captions; "+
		"the folders annotations, train2014 and val2014 of another machine may be copied into %q, with an empty file %q "+
		"beside them", way, e.folder, doneFile)
}

type noRoom struct{ msg string }

func (e *noRoom) Error() string { return e.msg }
func (e *noRoom) Unwrap() error { return store.ErrSpace }
func (e *noRoom) Hint() string {
	return "make room, or set CAPTIONER_CACHE to a folder on another disk; with --data, train takes other captions"
}

func gigabytes(n int64) string {
	if n < 1e8 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// missingOf reads what is in the folder already, several files at once.
func missingOf(ctx context.Context, folder string, all []member) ([]member, error) {
	lacks := make([]bool, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for chunk := range slices.Chunk(indices(len(all)), 256) {
		g.Go(func() error {
			for _, i := range chunk {
				lacks[i] = !here(folder, all[i])
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []member
	for i, m := range all {
		if lacks[i] {
			out = append(out, m)
		}
	}
	return out, nil
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// run fetches all stretches of all archives over a few connections.
func (f *fetch) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.o.Connections)
	for _, p := range f.parts {
		for _, s := range stretches(p.missing, stretchSize) {
			g.Go(func() error { return f.stretch(ctx, p.remote, s) })
		}
	}
	if err := g.Wait(); err != nil {
		var disk *diskError
		if errors.As(err, &disk) {
			return fmt.Errorf("fetch COCO 2014: write into %q: %w", f.o.Folder, disk.error)
		}
		return err
	}
	if len(f.lost.Names) > 0 {
		slices.Sort(f.lost.Names)
		return &f.lost
	}
	return nil
}

// tries is how often a damaged member is fetched again.
const tries = 3

func (f *fetch) stretch(ctx context.Context, r *store.Remote, s stretch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	write := intoFolder(f.o.Folder)
	passed := func(m member) {
		f.o.Progress(f.done.Add(m.end-m.offset), f.total)
	}
	bad, err := s.fetch(ctx, r, write, passed)
	if err != nil {
		return err
	}
	for _, d := range bad {
		for try := 1; ; try++ {
			f.o.Notice(fmt.Sprintf("%s: %v: fetching it again", d.member.name, d.err))
			again, err := stretch{[]member{d.member}}.fetch(ctx, r, write, passed)
			if err != nil {
				return err
			}
			if len(again) == 0 {
				break
			}
			if d = again[0]; try == tries {
				f.mu.Lock()
				if f.lost.Names = append(f.lost.Names, d.member.name); f.lost.Reason == nil {
					f.lost.Reason = d.err
				}
				f.mu.Unlock()
				break
			}
		}
	}
	return nil
}

// window reads a remote file at any place, in large parts.
type window struct {
	ctx  context.Context
	r    *store.Remote
	size int64
}

func (w *window) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 || at >= w.size {
		return 0, io.EOF
	}
	n, want := 0, int(min(int64(len(b)), w.size-at))
	err := w.r.Read(w.ctx, at, at+int64(want), func(p []byte) error { n += copy(b[n:], p); return nil })
	if err == nil && want < len(b) {
		err = io.EOF
	}
	return n, err
}
