// Package gcs is Google's Cloud Storage as a bucket of gocloud.dev/blob, over Google's generated client of its JSON API
// (google.golang.org/api/storage/v1). gocloud's own driver brings the client of gRPC with it, which makes the program
// 20 MB larger, and writes to standard output where there are no credentials.
package gcs

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"
)

// A CredentialsError says that the machine has no credentials of Google's.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return "found no credentials" }

// Unwrap is the reason.
func (e *CredentialsError) Unwrap() error { return e.Err }

// Hint says what may help.
func (e *CredentialsError) Hint() string {
	return "set GOOGLE_APPLICATION_CREDENTIALS to a key file, run gcloud auth application-default login, " +
		"or give ?anonymous=true for a public bucket"
}

// Open opens a bucket. The options are anonymous=true, or access_id=- for the same, and universe_domain. Credentials
// are those of Google's clients: GOOGLE_APPLICATION_CREDENTIALS, those of gcloud, the machine's own.
// STORAGE_EMULATOR_HOST names another service, which wants none.
func Open(ctx context.Context, name string, options url.Values) (*blob.Bucket, error) {
	var o []option.ClientOption
	for k, v := range options {
		known := k == "anonymous" && (v[0] == "true" || v[0] == "false") || k == "access_id" && v[0] == "-" ||
			k == "universe_domain"
		if !known {
			return nil, fmt.Errorf("found the option %s=%s, want anonymous=true or universe_domain=NAME", k, v[0])
		}
	}
	if domain := options.Get("universe_domain"); domain != "" {
		o = append(o, option.WithUniverseDomain(domain))
	}
	emulator := os.Getenv("STORAGE_EMULATOR_HOST")
	if emulator != "" {
		if !strings.Contains(emulator, "://") {
			emulator = "http://" + emulator
		}
		o = append(o, option.WithEndpoint(strings.TrimRight(emulator, "/")+"/storage/v1/"))
	}
	if emulator != "" || options.Get("anonymous") == "true" || options.Get("access_id") == "-" {
		o = append(o, option.WithoutAuthentication())
	} else {
		credentials, err := google.FindDefaultCredentials(ctx, storage.DevstorageReadWriteScope)
		if err != nil {
			return nil, &CredentialsError{err}
		}
		o = append(o, option.WithTokenSource(credentials.TokenSource))
	}
	s, err := storage.NewService(context.WithoutCancel(ctx), o...)
	if err != nil {
		return nil, err
	}
	return blob.NewBucket(&bucket{s.Objects, name}), nil
}

// bucket is a driver.Bucket.
type bucket struct {
	objects *storage.ObjectsService
	name    string
}

var _ driver.Bucket = (*bucket)(nil)

// ErrorCode says what an answer means.
func (*bucket) ErrorCode(err error) gcerrors.ErrorCode {
	var e *googleapi.Error
	if !errors.As(err, &e) {
		return gcerrors.Unknown
	}
	switch e.Code {
	case http.StatusBadRequest:
		return gcerrors.InvalidArgument
	case http.StatusUnauthorized, http.StatusForbidden:
		return gcerrors.PermissionDenied
	case http.StatusNotFound:
		return gcerrors.NotFound
	case http.StatusPreconditionFailed:
		return gcerrors.FailedPrecondition
	case http.StatusTooManyRequests:
		return gcerrors.ResourceExhausted
	}
	return gcerrors.Unknown
}

// As gives nothing of the client away.
func (*bucket) As(any) bool { return false }

// ErrorAs leaves errors to errors.As.
func (*bucket) ErrorAs(error, any) bool { return false }

// Attributes are what the service says of an object.
func (b *bucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	o, err := b.objects.Get(b.name, key).Context(ctx).Do()
	if err != nil {
		return nil, err
	}
	sum, at := facts(o)
	return &driver.Attributes{ContentType: o.ContentType, ContentEncoding: o.ContentEncoding, Metadata: o.Metadata,
		ModTime: at, Size: int64(o.Size), MD5: sum, ETag: o.Etag, AsFunc: no}, nil
}

func no(any) bool { return false }

// facts are the checksum and the time of the last change.
func facts(o *storage.Object) (sum []byte, at time.Time) {
	sum, _ = base64.StdEncoding.DecodeString(o.Md5Hash)
	at, _ = time.Parse(time.RFC3339, o.Updated)
	return sum, at
}

// ListPaged is a page of a list, in the order of the keys' bytes.
func (b *bucket) ListPaged(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	call := b.objects.List(b.name).Context(ctx).Prefix(o.Prefix).PageToken(string(o.PageToken)).
		Fields("nextPageToken", "prefixes", "items(name,size,updated,md5Hash)")
	if o.Delimiter != "" {
		call = call.Delimiter(o.Delimiter)
	}
	if o.PageSize > 0 {
		call = call.MaxResults(int64(o.PageSize))
	}
	l, err := call.Do()
	if err != nil {
		return nil, err
	}
	page := &driver.ListPage{NextPageToken: []byte(l.NextPageToken)}
	for _, item := range l.Items {
		sum, at := facts(item)
		page.Objects = append(page.Objects,
			&driver.ListObject{Key: item.Name, ModTime: at, Size: int64(item.Size), MD5: sum, AsFunc: no})
	}
	for _, prefix := range l.Prefixes {
		page.Objects = append(page.Objects, &driver.ListObject{Key: prefix, IsDir: true, AsFunc: no})
	}
	slices.SortFunc(page.Objects, func(a, b *driver.ListObject) int { return cmp.Compare(a.Key, b.Key) })
	return page, nil
}

// reader is an object that is being read.
type reader struct {
	io.ReadCloser
	attributes driver.ReaderAttributes
}

func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attributes }

func (*reader) As(any) bool { return false }

// NewRangeReader reads an object from offset on: length bytes, or all where it is negative. An object that the service
// holds compressed is read as it was before: its size is -1, and it can be read from its beginning only.
func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (
	driver.Reader, error) {
	if length == 0 {
		a, err := b.Attributes(ctx, key)
		if err != nil {
			return nil, err
		}
		of := driver.ReaderAttributes{ContentType: a.ContentType, ModTime: a.ModTime, Size: a.Size}
		return &reader{http.NoBody, of}, nil
	}
	call := b.objects.Get(b.name, key).Context(ctx)
	switch {
	case length > 0:
		call.Header().Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		call.Header().Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	answer, err := call.Download()
	if err != nil {
		return nil, err
	}
	if offset > 0 && answer.StatusCode != http.StatusPartialContent {
		answer.Body.Close()
		return nil, errWhole
	}
	of := driver.ReaderAttributes{ContentType: answer.Header.Get("Content-Type"), Size: size(answer)}
	of.ModTime, _ = http.ParseTime(answer.Header.Get("Last-Modified"))
	return &reader{answer.Body, of}, nil
}

var errWhole = errors.New("the service gives the object only as a whole")

// size is that of the whole object of an answer.
func size(answer *http.Response) int64 {
	if _, whole, ok := strings.Cut(answer.Header.Get("Content-Range"), "/"); ok {
		if n, err := strconv.ParseInt(whole, 10, 64); err == nil {
			return n
		}
	}
	return answer.ContentLength
}

// writer sends what is written to the service, in a request of its own.
type writer struct {
	ctx  context.Context
	pipe *io.PipeWriter
	done chan error
}

// NewTypedWriter writes an object, which is there when Close has returned without an error.
func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, o *driver.WriterOptions) (
	driver.Writer, error) {
	object := &storage.Object{Name: key, ContentType: contentType, Metadata: o.Metadata}
	call := b.objects.Insert(b.name, object).Context(ctx)
	if o.IfNotExist {
		call = call.IfGenerationMatch(0)
	}
	from, to := io.Pipe()
	w := &writer{ctx, to, make(chan error, 1)}
	go func() {
		_, err := call.Media(from, googleapi.ContentType(contentType)).Do()
		from.CloseWithError(cmp.Or(err, io.ErrClosedPipe))
		w.done <- err
	}()
	return w, nil
}

func (w *writer) Write(p []byte) (int, error) { return w.pipe.Write(p) }

// Close ends the object. Where the context has ended before, there is none.
func (w *writer) Close() error {
	w.pipe.CloseWithError(w.ctx.Err()) // io.EOF for nil
	return <-w.done
}

// Delete takes an object away.
func (b *bucket) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	return b.objects.Delete(b.name, key).Context(ctx).Do()
}

// errNone is what captioner has no use for.
var errNone = errors.New("not supported")

// Copy is not supported.
func (*bucket) Copy(context.Context, string, string, *driver.CopyOptions) error { return errNone }

// SignedURL is not supported.
func (*bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errNone
}

// Close has nothing to close.
func (*bucket) Close() error { return nil }
