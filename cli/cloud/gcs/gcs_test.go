package gcs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"captioner/cli/cloud/gcs"
)

// service answers as Cloud Storage's JSON API does to lists, reads, writes in one request, and deletes. It has one
// bucket, "photos".
type service struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/storage/v1/b/photos/o")
	switch {
	case r.URL.Path == "/upload/storage/v1/b/photos/o":
		s.insert(w, r)
	case !ok:
		refuse(w, http.StatusNotFound, "The specified bucket does not exist.")
	case rest == "":
		s.list(w, r.URL.Query())
	default:
		key, _ := url.PathUnescape(strings.TrimPrefix(rest, "/"))
		s.object(w, r, key)
	}
}

func refuse(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"error": {"code": %d, "message": %q}}`, code, message)
}

func describe(key string, b []byte) map[string]any {
	return map[string]any{"name": key, "size": strconv.Itoa(len(b)), "updated": "2026-11-30T12:00:00Z"}
}

func (s *service) list(w http.ResponseWriter, q url.Values) {
	var keys []string
	for key := range s.objects {
		if rest, ok := strings.CutPrefix(key, q.Get("prefix")); ok {
			if at := strings.Index(rest, "/"); at >= 0 && q.Get("delimiter") == "/" {
				key = q.Get("prefix") + rest[:at+1]
			}
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	from, _ := strconv.Atoi(q.Get("pageToken"))
	size, _ := strconv.Atoi(q.Get("maxResults"))
	to := min(from+size, len(keys))
	answer := map[string]any{}
	var items []any
	var prefixes []string
	for _, key := range keys[from:to] {
		if b, ok := s.objects[key]; ok {
			items = append(items, describe(key, b))
		} else {
			prefixes = append(prefixes, key)
		}
	}
	answer["items"], answer["prefixes"] = items, prefixes
	if to < len(keys) {
		answer["nextPageToken"] = strconv.Itoa(to)
	}
	json.NewEncoder(w).Encode(answer)
}

func (s *service) object(w http.ResponseWriter, r *http.Request, key string) {
	b, ok := s.objects[key]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "No such object: photos/"+key)
	case key == "secret.jpg":
		refuse(w, http.StatusForbidden, "nobody@example.com does not have storage.objects.get access.")
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Query().Get("alt") == "media":
		w.Header().Set("Last-Modified", "Mon, 30 Nov 2026 12:00:00 GMT")
		var from int
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(b[from:])
	default:
		json.NewEncoder(w).Encode(describe(key, b))
	}
}

func (s *service) insert(w http.ResponseWriter, r *http.Request) {
	_, p, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parts := multipart.NewReader(r.Body, p["boundary"])
	var object struct{ Name string }
	head, err := parts.NextPart()
	if err == nil {
		err = json.NewDecoder(head).Decode(&object)
	}
	var content []byte
	if body, perr := parts.NextPart(); err == nil && perr == nil {
		content, err = io.ReadAll(body)
	}
	_, there := s.objects[object.Name]
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
	case there && r.URL.Query().Get("ifGenerationMatch") == "0":
		refuse(w, http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold.")
	default:
		s.objects[object.Name] = content
		json.NewEncoder(w).Encode(describe(object.Name, content))
	}
}

// open starts a service with these objects and opens a bucket of it.
func open(t *testing.T, name string, objects map[string]string) (*blob.Bucket, *service) {
	t.Helper()
	s := &service{objects: map[string][]byte{}}
	for key, content := range objects {
		s.objects[key] = []byte(content)
	}
	server := httptest.NewServer(s)
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL)
	b, err := gcs.Open(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); server.Close() })
	return b, s
}

func TestListInPages(t *testing.T) {
	b, _ := open(t, "photos",
		map[string]string{"a/1.jpg": "1", "a/2 b.jpg": "22", "a/c/3.jpg": "3", "a/ü?#.jpg": "4", "b.jpg": "5"})
	for name, c := range map[string]struct {
		options blob.ListOptions
		want    []string
	}{
		"flat": {blob.ListOptions{Prefix: "a/", Delimiter: "/"},
			[]string{"a/1.jpg 1", "a/2 b.jpg 2", "a/c/ folder", "a/ü?#.jpg 1"}},
		"deep": {blob.ListOptions{Prefix: "a/"},
			[]string{"a/1.jpg 1", "a/2 b.jpg 2", "a/c/3.jpg 1", "a/ü?#.jpg 1"}},
		"prefix": {blob.ListOptions{Prefix: "b"}, []string{"b.jpg 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for token := blob.FirstPageToken; len(token) > 0; {
				list, next, err := b.ListPage(t.Context(), token, 2, &c.options)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range list {
					size := fmt.Sprint(o.Size)
					if o.IsDir {
						size = "folder"
					}
					got = append(got, o.Key+" "+size)
				}
				token = next
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadFromAnOffset(t *testing.T) {
	b, _ := open(t, "photos", map[string]string{"a/ü?#.jpg": "0123456789", "empty": ""})
	for _, c := range []struct {
		key, want    string
		offset, size int64
	}{{"a/ü?#.jpg", "0123456789", 0, 10}, {"a/ü?#.jpg", "789", 7, 10}, {"empty", "", 0, 0}} {
		r, err := b.NewRangeReader(t.Context(), c.key, c.offset, -1, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.key, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != c.want || r.Size() != c.size || c.size > 0 && r.ModTime().Year() != 2026 {
			t.Errorf("%s from %d: got %q, %d bytes in all, of %v, %v", c.key, c.offset, got, r.Size(), r.ModTime(), err)
		}
		r.Close()
	}
}

func TestWriteWholeOrNotAtAll(t *testing.T) {
	b, s := open(t, "photos", map[string]string{"there": "old"})
	big := bytes.Repeat([]byte("caption "), 100_000)
	if err := b.WriteAll(t.Context(), "new", big, nil); err != nil || !bytes.Equal(s.objects["new"], big) {
		t.Errorf("write: %v, %d bytes arrived", err, len(s.objects["new"]))
	}
	err := b.WriteAll(t.Context(), "there", big, &blob.WriterOptions{IfNotExist: true})
	if gcerrors.Code(err) != gcerrors.FailedPrecondition || string(s.objects["there"]) != "old" {
		t.Errorf("a new object in the place of an old one: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w, err := b.NewWriter(ctx, "half", &blob.WriterOptions{ContentType: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(big); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.Close(); err == nil || s.objects["half"] != nil {
		t.Errorf("a write that was given up: %v, %d bytes arrived", err, len(s.objects["half"]))
	}
	if err := b.Delete(t.Context(), "there"); err != nil || s.objects["there"] != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	b, _ := open(t, "photos", map[string]string{"secret.jpg": "x"})
	for key, want := range map[string]gcerrors.ErrorCode{"gone.jpg": gcerrors.NotFound,
		"secret.jpg": gcerrors.PermissionDenied} {
		if _, err := b.NewReader(t.Context(), key, nil); gcerrors.Code(err) != want {
			t.Errorf("%s: got %v, want %v", key, err, want)
		}
	}
	other, _ := open(t, "other", nil)
	if there, err := other.IsAccessible(t.Context()); there || err != nil {
		t.Errorf("a bucket that is not there: %v, %v", there, err)
	}
	if _, err := gcs.Open(t.Context(), "photos", url.Values{"region": {"eu"}}); err == nil {
		t.Error("the option of another service is taken")
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "gone.json")
	var e *gcs.CredentialsError
	if _, err := gcs.Open(t.Context(), "photos", nil); !errors.As(err, &e) {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := gcs.Open(t.Context(), "photos", url.Values{"anonymous": {"true"}}); err != nil {
		t.Errorf("a public bucket without credentials: %v", err)
	}
}
