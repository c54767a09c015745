package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"captioner/cli/console"
)

// Store opens buckets, each once. The zero value is ready; any number of goroutines may use it.
type Store struct {
	Stall time.Duration // the longest wait for the next bytes of an object; 0 is 30 s

	mu      sync.Mutex
	buckets map[string]*blob.Bucket
}

// Object is what a list says of an object.
type Object struct {
	Place
	Size int64
	Time time.Time // of its last change
}

// Tries of a request that fails for a reason that may pass, beside those of the driver, and the wait before the second;
// it doubles. A read that has got on begins to count anew.
const (
	tries = 4
	wait  = 250 * time.Millisecond
)

// page is how many objects are listed at once.
const page = 1000

// bucket opens the bucket of a place.
func (s *Store) bucket(ctx context.Context, p Place) (*blob.Bucket, error) {
	address := p.address()
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[address]; b != nil {
		return b, nil
	}
	b, err := open(ctx, p)
	if err != nil {
		return nil, console.WithHint(fmt.Errorf("open the bucket: %w", err), "%s", credentials[p.scheme])
	}
	if s.buckets == nil {
		s.buckets = make(map[string]*blob.Bucket)
	}
	s.buckets[address] = b
	return b, nil
}

func open(ctx context.Context, p Place) (*blob.Bucket, error) {
	if p.scheme == googles {
		options, _ := url.ParseQuery(p.query) // Parse has read it
		return openGoogle(ctx, p.bucket, options)
	}
	return blob.OpenBucket(ctx, p.address())
}

// Close closes the buckets.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.buckets {
		b.Close()
	}
	s.buckets = nil
}

// again calls f until it succeeds, or fails for a reason that stays. f says whether it has got on.
func again(ctx context.Context, f func() (on bool, err error)) error {
	pause := wait
	for try := 1; ; try++ {
		on, err := f()
		if err == nil || !passing(ctx, err) {
			return err
		}
		if on {
			try, pause = 1, wait
		}
		if try >= tries {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// passing says whether the reason of a failure may pass.
func passing(ctx context.Context, err error) bool {
	var l *LimitError
	if ctx.Err() != nil || errors.Is(err, errChanged) || errors.As(err, &l) || withoutCredentials(err) ||
		refusedByAzure(err) {
		return false
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound, gcerrors.PermissionDenied, gcerrors.InvalidArgument, gcerrors.FailedPrecondition,
		gcerrors.AlreadyExists, gcerrors.Unimplemented:
		return false
	}
	return true
}

// Stat says what there is of an object.
func (s *Store) Stat(ctx context.Context, p Place) (o Object, err error) {
	b, err := s.bucket(ctx, p)
	if err != nil {
		return o, err
	}
	err = again(ctx, func() (bool, error) {
		a, err := b.Attributes(ctx, p.Key)
		if err == nil {
			o = Object{p, a.Size, a.ModTime}
		}
		return false, err
	})
	return o, explain(ctx, b, err)
}

// A LimitError says that an object is larger than is read.
type LimitError struct{ Size, Limit int64 }

func (e *LimitError) Error() string { return fmt.Sprintf("%d bytes, limit %d", e.Size, e.Limit) }

// Read reads an object of up to limit bytes.
func (s *Store) Read(ctx context.Context, p Place, limit int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := s.Copy(ctx, p, &b, limit)
	return b.Bytes(), err
}

// Copy writes an object of up to limit bytes into w. Where the connection breaks, it goes on with the byte behind the
// last.
func (s *Store) Copy(ctx context.Context, p Place, w io.Writer, limit int64) (o Object, err error) {
	b, err := s.bucket(ctx, p)
	if err != nil {
		return o, err
	}
	c := copying{bucket: b, key: p.Key, w: w, limit: limit, stall: s.Stall}
	if c.stall <= 0 {
		c.stall = 30 * time.Second
	}
	err = again(ctx, func() (bool, error) {
		before := c.at
		err := c.once(ctx)
		return c.at > before, err
	})
	return Object{p, c.size, c.time}, explain(ctx, b, err)
}

// copying is an object that is being read.
type copying struct {
	bucket *blob.Bucket
	key    string
	w      io.Writer
	limit  int64
	stall  time.Duration

	begun bool
	at    int64
	size  int64
	time  time.Time
}

var (
	errChanged = errors.New("the object changed while it was read")
	errStalled = console.WithHint(errors.New("the service sent nothing for too long"), "--url-timeout sets the limit")
)

// once reads from where the last read stopped.
func (c *copying) once(ctx context.Context) error {
	if c.begun && c.at == c.size {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.stall, func() { cancel(errStalled) })
	defer watch.Stop()
	r, err := c.bucket.NewRangeReader(ctx, c.key, c.at, -1, nil)
	if err != nil {
		return stalled(ctx, err)
	}
	defer r.Close()
	switch {
	case c.begun && (r.Size() != c.size || !r.ModTime().Equal(c.time)):
		return errChanged
	case !c.begun && r.Size() > c.limit:
		return &LimitError{r.Size(), c.limit}
	}
	c.begun, c.size, c.time = true, r.Size(), r.ModTime()
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		watch.Reset(c.stall)
		if n > 0 {
			if _, err := c.w.Write(buffer[:n]); err != nil {
				return &writeError{err}
			}
			if c.at += int64(n); c.at > c.limit { // the service did not say the size
				return &LimitError{c.at, c.limit}
			}
		}
		if err == io.EOF && c.at < c.size {
			err = io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return stalled(ctx, err)
		}
	}
}

// stalled is why a read ended: because nothing came, where that is so.
func stalled(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// List gives the objects whose keys begin with that of p, in the order of the service, which is that of their bytes. Of
// a flat list, those with a further "/" in their names are left out. The next page is fetched while one is worked on.
func (s *Store) List(ctx context.Context, p Place, flat bool) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		b, err := s.bucket(ctx, p)
		if err != nil {
			yield(Object{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		pages := make(chan listed, 1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			list(ctx, b, p, flat, pages)
		}()
		defer func() { cancel(); <-done }()
		for l := range pages {
			for _, o := range l.objects {
				if !o.IsDir && !yield(Object{p.At(o.Key), o.Size, o.ModTime}, nil) {
					return
				}
			}
			if l.err != nil {
				yield(Object{}, explain(ctx, b, l.err))
				return
			}
		}
	}
}

// Glob gives the objects whose keys match that of p, which is a pattern.
func (s *Store) Glob(ctx context.Context, p Place) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		prefix := p.Key
		if at := strings.IndexAny(p.Key, patterns); at >= 0 {
			prefix = p.Key[:at]
		}
		for o, err := range s.List(ctx, p.At(prefix), false) {
			if err == nil && !doublestar.MatchUnvalidated(p.Key, o.Key) {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// listed is a page of a list.
type listed struct {
	objects []*blob.ListObject
	err     error
}

// list sends the pages of a list, and closes the channel behind the last.
func list(ctx context.Context, b *blob.Bucket, p Place, flat bool, pages chan<- listed) {
	defer close(pages)
	o := &blob.ListOptions{Prefix: p.Key}
	if flat {
		o.Delimiter = "/"
	}
	for token := blob.FirstPageToken; len(token) > 0; {
		var l listed
		l.err = again(ctx, func() (_ bool, err error) {
			var next []byte
			if l.objects, next, err = b.ListPage(ctx, token, page, o); err == nil {
				token = next
			}
			return false, err
		})
		select {
		case pages <- l:
		case <-ctx.Done():
			return
		}
		if l.err != nil {
			return
		}
	}
}

// ErrThere says that an object is there already that was to be a new one.
var ErrThere = errors.New("it is there already")

// Write writes an object, whole: until all of it has arrived, nothing of it is seen. A new one is refused where there
// is one already, by services that can tell.
func (s *Store) Write(ctx context.Context, p Place, r io.ReadSeeker, fresh bool) error {
	b, err := s.bucket(ctx, p)
	if err != nil {
		return err
	}
	err = again(ctx, func() (bool, error) {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return false, &writeError{err}
		}
		return false, write(ctx, b, p.Key, r, fresh)
	})
	if fresh && gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return ErrThere
	}
	return explain(ctx, b, err)
}

func write(ctx context.Context, b *blob.Bucket, key string, r io.Reader, fresh bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.NewWriter(ctx, key, &blob.WriterOptions{IfNotExist: fresh, ContentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		cancel() // Close then drops what has arrived
		w.Close()
		return err
	}
	return w.Close()
}

// Delete takes an object away; one that is not there is no error.
func (s *Store) Delete(ctx context.Context, p Place) error {
	b, err := s.bucket(ctx, p)
	if err != nil {
		return err
	}
	err = again(ctx, func() (bool, error) { return false, b.Delete(ctx, p.Key) })
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	return explain(ctx, b, err)
}
