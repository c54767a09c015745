package coco

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"captioner/data"
	"captioner/weights/atomicfile"
	"captioner/weights/store"
)

// server serves stand-ins of COCO's archives, and misbehaves as each test says.
type server struct {
	*httptest.Server
	archives map[string][]byte // by path, below the publisher's host
	content  map[string][]byte // of members

	mu       sync.Mutex
	requests int
	sent     int64
	spoil    func(request int, url string, body []byte, from int64) ([]byte, action)
}

type action int

const (
	serve  action = iota
	cut           // sends half and breaks off
	stall         // sends half and says nothing more
	refuse        // 503
	whole         // ignores the range
)

func newServer(t *testing.T) *server {
	s := &server{archives: map[string][]byte{}, content: map[string][]byte{}}
	r := rand.New(rand.NewPCG(1, 2))
	picture := func() []byte {
		b := make([]byte, 500+r.IntN(4000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	captions := func(split string, n int) []byte {
		var images, notes []string
		for i := range n {
			images = append(images, fmt.Sprintf(`{"id":%d,"file_name":"COCO_%s_%012d.jpg"}`, i, split, i))
			notes = append(notes, fmt.Sprintf(`{"id":%d,"image_id":%d,"caption":"a picture"}`, i, i))
		}
		return []byte(`{"images":[` + strings.Join(images, ",") + `],"annotations":[` + strings.Join(notes, ",") + `]}`)
	}
	notes := map[string][]byte{"annotations/instances_train2014.json": picture()}
	for split, n := range map[string]int{"train2014": 60, "val2014": 20} {
		files := map[string][]byte{}
		for i := range n {
			files[fmt.Sprintf("%s/COCO_%s_%012d.jpg", split, split, i)] = picture()
		}
		notes["annotations/captions_"+split+".json"] = captions(split, n)
		s.add(t, "/images.cocodataset.org/zips/"+split+".zip", files, zip.Store)
	}
	s.add(t, "/images.cocodataset.org/annotations/annotations_trainval2014.zip", notes, zip.Deflate)
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *server) add(t *testing.T, url string, files map[string][]byte, method uint16) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if _, err := z.CreateHeader(&zip.FileHeader{Name: strings.Split(slices.Min(slices.Collect(maps.Keys(files))),
		"/")[0] + "/"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(files[name])
		s.content[name] = files[name]
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s.archives[url] = b.Bytes()
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	all, ok := s.archives[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	from, to := int64(0), int64(len(all))
	ranged, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
	if to++; to > int64(len(all)) {
		to = int64(len(all))
	}
	body := bytes.Clone(all[from:to])
	do := serve
	s.mu.Lock()
	s.requests++
	if s.spoil != nil {
		body, do = s.spoil(s.requests, r.URL.Path, body, from)
	}
	s.sent += int64(len(body))
	s.mu.Unlock()
	w.Header().Set("ETag", `"one"`)
	switch {
	case do == refuse:
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	case do == whole || ranged == 0:
		w.Header().Set("Content-Length", fmt.Sprint(len(all)))
		w.Write(all)
		return
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(all)))
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusPartialContent)
	if do == serve {
		w.Write(body)
		return
	}
	w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	if do == stall {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// fetch runs Fetch against the server, with the notices that it gave.
func (s *server) fetch(t *testing.T, folder string) (Paths, []string, error) {
	t.Helper()
	st, err := store.New(store.Options{Cache: t.TempDir(), HubCache: t.TempDir(), HubURL: store.DefaultHubURL,
		Mirror: s.URL, Attempts: 4,
		Backoff: time.Millisecond, Stall: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var notices []string
	p, err := Fetch(t.Context(), st, Options{Folder: folder, Connections: 4, Progress: func(done, total int64) {
		if done > total {
			t.Errorf("progress: %d of %d", done, total)
		}
	}, Notice: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		notices = append(notices, text)
	}})
	return p, notices, err
}

// check compares a folder with what it should hold, but for the names.
func (s *server) check(t *testing.T, folder string, but ...string) {
	t.Helper()
	for name, want := range s.content {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if strings.Contains(name, "instances") || slices.Contains(but, name) {
			if err == nil {
				t.Errorf("%s is there, want it left out", name)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes and %v, want %d", name, len(got), err, len(want))
		}
	}
	left, _ := filepath.Glob(filepath.Join(folder, "*", atomicfile.Temporary))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestFetch(t *testing.T) {
	s, folder := newServer(t), t.TempDir()
	p, notices, err := s.fetch(t, folder)
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, folder)
	if len(notices) != 2 || !strings.Contains(notices[1], "82 files") {
		t.Errorf("notices: got %q, want one that counts 82 files", notices)
	}
	d, err := data.Open(p.Captions, p.Images)
	if err != nil {
		t.Fatal(err)
	}
	if r := data.Check(d.Source, nil); r.Err() != nil || r.Train.Examples != 60 || d.Kind != data.KindCOCO {
		t.Errorf("got %v with %+v, %v", d.Kind, r.Train, r.Err())
	}
	before := s.requests
	if _, _, err := s.fetch(t, folder); err != nil || s.requests != before {
		t.Errorf("a second fetch made %d requests and gave %v, want none", s.requests-before, err)
	}
}

// TestMisbehavior lets the server break off, fall silent, refuse and ignore ranges, each in turn.
func TestMisbehavior(t *testing.T) {
	s, folder := newServer(t), t.TempDir()
	s.spoil = func(n int, _ string, body []byte, _ int64) ([]byte, action) {
		return body, []action{serve, cut, serve, stall, refuse, serve, whole}[n%7]
	}
	if _, _, err := s.fetch(t, folder); err != nil {
		t.Fatal(err)
	}
	s.check(t, folder)
}

// TestResume gives up in the middle and goes on: what came before is not fetched again, what was damaged since is.
func TestResume(t *testing.T) {
	s, folder := newServer(t), t.TempDir()
	s.spoil = func(n int, url string, body []byte, _ int64) ([]byte, action) {
		if strings.HasSuffix(url, "train2014.zip") && len(body) > 60000 {
			return body, cut
		}
		return body, serve
	}
	if _, _, err := s.fetch(t, folder); err == nil || !errors.Is(err, store.ErrCut) {
		// Four connections are cut in turn, each goes on by half of what is left: they may also come to the end.
		t.Logf("first fetch: %v", err)
	}
	victim := filepath.Join(folder, "val2014", "COCO_val2014_000000000003.jpg")
	if err := os.WriteFile(victim, make([]byte, len(s.content["val2014/COCO_val2014_000000000003.jpg"])),
		0o666); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(folder, doneFile))
	s.spoil, s.sent = nil, 0
	have, _ := filepath.Glob(filepath.Join(folder, "*2014", "*.jpg"))
	if _, _, err := s.fetch(t, folder); err != nil {
		t.Fatal(err)
	}
	s.check(t, folder)
	all := 0
	for _, a := range s.archives {
		all += len(a)
	}
	if len(have) > 20 && int(s.sent) > all*3/4 {
		t.Errorf("with %d pictures there, %d of %d bytes were sent again", len(have), s.sent, all)
	}
}

// TestDamage spoils an image's bytes once, and another's always: the first comes on a second try, the second is named
// after all others came.
func TestDamage(t *testing.T) {
	s, folder := newServer(t), t.TempDir()
	const once, always = "train2014/COCO_train2014_000000000007.jpg", "train2014/COCO_train2014_000000000031.jpg"
	spoilt := false
	s.spoil = func(n int, url string, body []byte, _ int64) ([]byte, action) {
		for _, name := range []string{once, always} {
			content := s.content[name]
			if i := bytes.Index(body, content[100:200]); i >= 0 && (name == always || !spoilt) {
				body[i] ^= 1
				spoilt = spoilt || name == once
			}
		}
		return body, serve
	}
	_, notices, err := s.fetch(t, folder)
	var lost *Lost
	if !errors.As(err, &lost) || !slices.Equal(lost.Names, []string{always}) || !strings.Contains(err.Error(), "CRC") {
		t.Fatalf("got %v, want a loss of %s", err, always)
	}
	if all := strings.Join(notices, "\n"); !strings.Contains(all, path.Base(once)) {
		t.Errorf("notices %q do not name %s", notices, once)
	}
	s.check(t, folder, always)
	s.spoil = nil
	before := s.requests
	if _, _, err := s.fetch(t, folder); err != nil {
		t.Fatal(err)
	}
	s.check(t, folder)
	if n := s.requests - before; n != 3*3+1 {
		t.Errorf("the second fetch made %d requests for one picture, want 10: sizes, ends, directories, the picture", n)
	}
}

func TestCancel(t *testing.T) {
	s := newServer(t)
	s.spoil = func(_ int, _ string, body []byte, _ int64) ([]byte, action) { return body, stall }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	st, err := store.New(store.Options{Cache: t.TempDir(), HubCache: t.TempDir(), HubURL: store.DefaultHubURL,
		Mirror: s.URL, Attempts: 4, Stall: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Folder: t.TempDir(), Connections: 2, Notice: func(string) {}, Progress: func(int64, int64) {}}
	_, err = Fetch(ctx, st, o)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// FuzzDirectory gives anything for an archive.
func FuzzDirectory(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"a/", "a/b.jpg", "c"} {
		w, _ := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(nil)})
		w.Write([]byte(strings.TrimSuffix(name, "a/")))
	}
	z.Close()
	f.Add(b.Bytes())
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := directory(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, m := range all {
			if m.offset < 0 || m.end <= m.offset || m.end > int64(len(b)) {
				t.Errorf("member %+v of %d bytes", m, len(b))
			}
		}
	})
}
