package cloud_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"captioner/cli/cloud"
	"captioner/cli/cloud/cloudtest"
	"captioner/cli/console"
)

// service starts one that the variables of the test lead to.
func service(t *testing.T, buckets ...string) *cloudtest.Server {
	t.Helper()
	s := cloudtest.New(buckets...)
	t.Cleanup(s.Close)
	for name, value := range s.Environment() {
		t.Setenv(name, value)
	}
	return s
}

func place(t *testing.T, address string) cloud.Place {
	t.Helper()
	p, err := cloud.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	for address, want := range map[string]string{
		"s3://photos/a/b c.jpg":                    "s3://photos/ a/b c.jpg",
		"s3://photos":                              "s3://photos/ ",
		"S3://photos/a#1.jpg":                      "s3://photos/ a#1.jpg",
		"s3://photos/a?.jpg":                       "s3://photos/ a?.jpg",
		"s3://photos/a?.jpg?region=eu":             "s3://photos/ a?.jpg",
		"s3://photos/a?endpoint=http://x:1/&b=c":   "s3://photos/ a",
		"s3://photos?anonymous=true":               "s3://photos/ ",
		"s3://photos/**/*.jpg?region=eu&profile=x": "s3://photos/ **/*.jpg",
	} {
		p := place(t, address)
		if got := p.At("").String() + " " + p.Key; got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
	}
	for _, address := range []string{"s3://", "s3:///a", "s3://a*/b", "http://a/b", "s3://user@host/x"} {
		if _, err := cloud.Parse(address); err == nil {
			t.Errorf("%s is taken", address)
		}
	}
	for address, want := range map[string]string{"file:///a/b%20c.jpg": "/a/b c.jpg", "file://localhost/a": "/a",
		"a.jpg": "a.jpg", "s3://a/b": "s3://a/b"} {
		if got, err := cloud.Local(address); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", address, got, err, want)
		}
	}
	for _, address := range []string{"file://host/a", "file://"} {
		if _, err := cloud.Local(address); err == nil {
			t.Errorf("%s is taken", address)
		}
	}
}

func TestList(t *testing.T) {
	s, store := service(t, "photos"), new(cloud.Store)
	var want, flat []string
	for i := range 2500 { // three pages
		key := fmt.Sprintf("a/%04d.jpg", i)
		if i%1000 == 999 {
			key = fmt.Sprintf("a/b/%04d.jpg", i)
		}
		if err := s.Put("photos", key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	s.Put("photos", "c.jpg", []byte("x"))
	s.Break(cloudtest.Fault{Method: "GET", Key: "/photos", Times: 2, Status: 503, Code: "SlowDown"})
	for o, err := range store.List(t.Context(), place(t, "s3://photos/a/"), false) {
		if err != nil {
			t.Fatal(err)
		}
		if want = append(want, o.Key); o.Size != 1 || o.Time.IsZero() {
			t.Fatalf("%+v", o)
		}
	}
	if len(want) != 2500 || want[0] != "a/0000.jpg" || want[2499] != "a/b/1999.jpg" {
		t.Errorf("%d objects, %s to %s", len(want), want[0], want[len(want)-1])
	}
	for o, err := range store.List(t.Context(), place(t, "s3://photos/a/"), true) {
		if err != nil {
			t.Fatal(err)
		}
		flat = append(flat, o.Key)
	}
	if len(flat) != 2498 {
		t.Errorf("%d objects without those below, want 2498", len(flat))
	}
	var few []string
	for o, err := range store.Glob(t.Context(), place(t, "s3://photos/**/?999.jpg")) {
		if err != nil {
			t.Fatal(err)
		}
		if few = append(few, o.Key); len(few) == 2 {
			break
		}
	}
	if diff := cmp.Diff([]string{"a/b/0999.jpg", "a/b/1999.jpg"}, few); diff != "" {
		t.Error(diff)
	}
}

// TestRead reads an object over a connection that breaks.
func TestRead(t *testing.T) {
	s := service(t, "photos")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, key := range []string{"big.jpg", "small.jpg", "empty.jpg", "slow.jpg", "denied.jpg", "gone.jpg"} {
		b := big
		if key == "small.jpg" {
			b = []byte("small")
		} else if key == "empty.jpg" {
			b = nil
		}
		if err := s.Put("photos", key, b); err != nil {
			t.Fatal(err)
		}
	}
	s.Break(cloudtest.Fault{Method: "GET", Key: "big.jpg", Times: 6, Cut: 150_000})
	s.Break(cloudtest.Fault{Method: "GET", Key: "small.jpg", Times: 2, Status: 503, Code: "SlowDown"})
	s.Break(cloudtest.Fault{Method: "GET", Key: "slow.jpg", Wait: time.Minute})
	s.Break(cloudtest.Fault{Method: "GET", Key: "denied.jpg", Status: 403, Code: "AccessDenied"})
	s.Break(cloudtest.Fault{Method: "GET", Key: "gone.jpg", Cut: 1})
	for address, test := range map[string]struct {
		want []byte
		err  string
	}{
		"s3://photos/big.jpg":    {big, ""},
		"s3://photos/small.jpg":  {[]byte("small"), ""},
		"s3://photos/empty.jpg":  {nil, ""},
		"s3://photos/slow.jpg":   {nil, "nothing for too long"},
		"s3://photos/denied.jpg": {nil, "access is denied (AccessDenied)"},
		"s3://photos/none.jpg":   {nil, "no such object"},
		"s3://nobucket/none.jpg": {nil, "the bucket does not exist"},
	} {
		t.Run(address, func(t *testing.T) {
			store := &cloud.Store{Stall: 500 * time.Millisecond}
			defer store.Close()
			b, err := store.Read(t.Context(), place(t, address), 1<<30)
			if test.err == "" && (err != nil || !bytes.Equal(b, test.want)) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
	var limit *cloud.LimitError
	if _, err := new(cloud.Store).Read(t.Context(), place(t, "s3://photos/big.jpg"), 100); !errors.As(err, &limit) {
		t.Errorf("got %v, want the limit", err)
	}
}

// TestWrite shows that nothing of an object is seen before all of it is there.
func TestWrite(t *testing.T) {
	s, store := service(t, "out"), new(cloud.Store)
	p := place(t, "s3://out/a.jsonl")
	failing := io.NewSectionReader(brokenReader{}, 0, 20<<20)
	if err := store.Write(t.Context(), p, failing, true); err == nil {
		t.Error("a reader that fails writes an object")
	}
	if keys, err := s.Keys("out"); err != nil || len(keys) > 0 {
		t.Errorf("there is %q, %v", keys, err)
	}
	big := bytes.Repeat([]byte("line\n"), 3<<20) // in several parts
	s.Break(cloudtest.Fault{Method: "PUT", Times: 2, Status: 500, Code: "InternalError"})
	if err := store.Write(t.Context(), p, bytes.NewReader(big), true); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Get("out", "a.jsonl"); err != nil || !bytes.Equal(b, big) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := store.Write(t.Context(), p, strings.NewReader("x"), true); !errors.Is(err, cloud.ErrThere) {
		t.Errorf("got %v, want that it is there", err)
	}
	if err := store.Write(t.Context(), p, strings.NewReader("x"), false); err != nil {
		t.Error(err)
	}
	if o, err := store.Stat(t.Context(), p); err != nil || o.Size != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if err := errors.Join(store.Delete(t.Context(), p), store.Delete(t.Context(), p)); err != nil {
		t.Error(err)
	}
	s.Break(cloudtest.Fault{Method: "PUT", Status: 403, Code: "AccessDenied"})
	err := store.Write(t.Context(), p, strings.NewReader("x"), false)
	if err == nil || !strings.Contains(err.Error(), "access is denied") || console.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) ReadAt(b []byte, at int64) (int, error) {
	if at > 12<<20 {
		return 0, errors.New("the disk is broken")
	}
	return len(b), nil
}

func TestNoService(t *testing.T) {
	s := service(t, "photos")
	s.Close()
	_, err := new(cloud.Store).Read(t.Context(), place(t, "s3://photos/a.jpg"), 1)
	if err == nil || !strings.Contains(err.Error(), "no connection to the service") {
		t.Errorf("got %v", err)
	}
	t.Setenv("AWS_ENDPOINT_URL", "")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	_, err = new(cloud.Store).Read(t.Context(), place(t, "s3://photos/a.jpg"), 1)
	if err == nil || !strings.Contains(err.Error(), "Invalid region") ||
		!strings.Contains(console.HintOf(err), "AWS_REGION") {
		t.Errorf("got %v, hint %q", err, console.HintOf(err))
	}
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err = new(cloud.Store).Read(t.Context(), place(t, "s3://photos/a.jpg"), 1)
	if err == nil || !strings.Contains(err.Error(), "found no credentials") {
		t.Errorf("got %v", err)
	}
}
