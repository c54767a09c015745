package input

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/data"
	"captioner/data/image"
	"captioner/weights"
)

// IsFetchedArchive says whether an argument names an archive in a cloud, of which nobody knows what it holds before it
// is fetched.
func IsFetchedArchive(arg string) bool {
	p, err := cloud.Parse(arg)
	return err == nil && archiveKind(p.Key) != ""
}

// objects are those inputs that lie in a cloud.
type objects struct{ Inputs }

// context is that under which the cloud is asked.
func (in objects) context() context.Context {
	if in.Context == nil {
		return context.Background()
	}
	return in.Context
}

// list lists what an argument means in a cloud: an object, the images below a prefix, those that a pattern matches, or
// those in an archive.
func (in objects) list(arg string, yield func(Input) bool) bool {
	if in.closed { // no file of this machine
		return true
	}
	p, err := cloud.Parse(arg)
	if err != nil {
		return yield(failed(arg, err))
	}
	names, err := keys(p.Key)
	if err != nil {
		return yield(failed(arg, err))
	}
	for _, key := range names {
		if !in.named(p.At(key), yield) {
			return false
		}
	}
	return true
}

// keys are the names that a key means: of a range, {000..127}.
func keys(key string) ([]string, error) {
	if !strings.ContainsAny(key, "*?[{") {
		return []string{key}, nil
	}
	return data.Ranges(key)
}

// named lists what one name means.
func (in objects) named(p cloud.Place, yield func(Input) bool) bool {
	switch {
	case p.IsPattern(), p.Key == "" || strings.HasSuffix(p.Key, "/"):
		return in.below(p, yield)
	case archiveKind(p.Key) != "":
		return in.fetched(p, new(census), yield)
	case image.HasExtension(p.Key) || image.HasRawExtension(p.Key):
		return yield(in.objectAt(p)) // if it is missing, reading it will say so
	}
	if _, err := in.Cloud.Stat(in.context(), p); err == nil {
		return yield(in.objectAt(p))
	} else if missing := new(cloud.NotFoundError); !errors.As(err, &missing) || missing.Bucket {
		return yield(failed(p.String(), err))
	}
	return in.below(p.At(p.Key+"/"), yield)
}

// image is the image at an address.
func (in objects) image(address string) Input {
	p, err := cloud.Parse(address)
	if err != nil {
		return failed(address, err)
	}
	return in.objectAt(p)
}

func (in objects) objectAt(p cloud.Place) Input {
	return Input{Path: p.String(), Key: p.String(), Open: in.body(p)}
}

// body returns what reads an object.
func (in objects) body(p cloud.Place) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) { return in.Cloud.Read(ctx, p, maxMember) }
}

// below lists the images below a prefix, or those whose keys match a pattern.
func (in objects) below(p cloud.Place, yield func(Input) bool) bool {
	w := objectWalker{in: in, base: p.Key, yield: yield}
	list := in.Cloud.List(in.context(), p, !in.Recursive)
	if p.IsPattern() {
		if !doublestar.ValidatePattern(p.Key) {
			return yield(failed(p.String(), errPattern))
		}
		base, _ := doublestar.SplitPattern(p.Key)
		w.base, w.pattern = strings.TrimPrefix(base+"/", "./"), p.Key
		list = in.Cloud.Glob(in.context(), p)
	}
	for o, err := range list {
		if err != nil {
			return yield(failed(p.String(), fmt.Errorf("list the objects: %w", err)))
		}
		if !w.object(o) {
			return false
		}
	}
	if w.seen.images > 0 || w.seen.archive {
		return true
	}
	if w.pattern != "" {
		return yield(failed(p.String(), errNoMatch))
	}
	if w.seen.files == 0 {
		return yield(failed(p.String(), console.WithHint(errors.New("nothing has this prefix"),
			"a prefix ends with /, and keys know upper and lower case")))
	}
	return yield(failed(p.String(), w.seen.nothing(in.Recursive)))
}

// objectWalker goes over a list of objects.
type objectWalker struct {
	in      objects
	base    string // the part of the keys that is the folder of the argument
	pattern string // of keys; "" for all
	seen    census
	yield   func(Input) bool
}

// object hands on one object, if it is an image that is wanted.
func (w *objectWalker) object(o cloud.Object) bool {
	below := strings.TrimPrefix(o.Key, w.base)
	if strings.HasSuffix(o.Key, "/") || hiddenKey(below) { // a folder, as consoles make them
		return true
	}
	w.seen.files++
	named := w.pattern != "" && strings.Trim(path.Base(w.pattern), "*") != ""
	switch {
	case archiveKind(o.Key) != "" && named:
		w.seen.archive = true
		return w.in.fetched(o.Place, new(census), w.yield)
	case archiveKind(o.Key) != "":
		w.seen.archives++
	}
	if !named && !image.HasExtension(o.Key) && !image.HasRawExtension(o.Key) {
		if !w.in.Counting {
			w.in.Passed.file(o.String())
		}
		return true
	}
	w.seen.images++
	in := w.in.objectAt(o.Place)
	in.Key, in.Stamp = below, Stamp{o.Size, o.Time.UnixNano()}
	if o.Size > maxMember {
		in.Err, in.Open = &Failure{"read image", in.Path, &cloud.LimitError{Size: o.Size, Limit: maxMember}}, nil
	}
	return w.yield(in)
}

// hiddenKey says whether a name below a prefix, or a folder on the way to it, begins with a dot.
func hiddenKey(below string) bool {
	return strings.HasPrefix(below, ".") || strings.Contains(below, "/.")
}

// fetched lists the images in an archive: it is fetched into a file without a name, which is gone when the last of its
// images was read. Nobody fetches one to count what is in it.
func (in objects) fetched(p cloud.Place, seen *census, yield func(Input) bool) bool {
	if in.Counting {
		seen.images++
		return yield(Input{Path: p.String()})
	}
	f, err := os.CreateTemp("", "captioner-*")
	if err != nil {
		return yield(failed(p.String(), weights.Reason(err)))
	}
	os.Remove(f.Name())
	o, err := in.Cloud.Copy(in.context(), p, f, 1<<62)
	if err != nil {
		f.Close()
		return yield(failed(p.String(), fmt.Errorf("fetch the archive: %w", weights.Reason(err))))
	}
	c := &container{path: p.String(), stamp: Stamp{o.Size, o.Time.UnixNano()}, held: f}
	return in.opened(p.String(), c, o.Size, seen, yield)
}

// check looks at an argument before any work begins: that the service answers, and that there is something to
// caption.
func (in objects) check(arg string) (err error) {
	in.Counting = true
	checked := false
	in.list(arg, func(i Input) bool {
		if err, checked = nil, true; i.Err != nil {
			err = errors.Unwrap(i.Err)
			return true // there may be more
		}
		if p, bad := cloud.Parse(i.Path); bad == nil && i.Stamp == (Stamp{}) {
			p, _ = p.Like(arg)
			_, err = in.Cloud.Stat(in.context(), p)
		}
		return false
	})
	if !checked {
		return errNoMatch
	}
	return err
}
