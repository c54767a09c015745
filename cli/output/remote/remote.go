// Package remote is an --out in a cloud: captions go into parts, and become one object at the end. Its merge reads and
// writes objects.
package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/output"
	"captioner/weights"
)

// Out is an --out that is an object in a cloud. A journal writes files of this machine that stand for it; what they
// gain goes to OUT.part/000001, OUT.part/000002 and so on, and at the end OUT is written, whole, and the parts go. A
// run that goes on, on whatever machine, makes the files anew out of the parts.
//
// A part is one line, "captioner part 1 LINES JOURNAL", with the lengths of what follows it: what FILE.part gained, and
// what FILE.journal gained.
type Out struct {
	File string // the file that stands for OUT; the other two are beside it

	ctx    context.Context
	store  *cloud.Store
	out    cloud.Place
	folder string
	parts  []cloud.Place
	sent   [2]int64 // of FILE.part and FILE.journal
	last   time.Time
	before *cloud.Object // OUT when the run began; nil for none
}

// What a run has made is sent when it is so much, or has waited so long: that is what a kill may cost.
const (
	partSize = 4 << 20
	partWait = 30 * time.Second
	sendTime = 5 * time.Minute // the longest that it may take
)

// Open looks at what there is of an object. It refuses what output.CheckOut refuses of a file.
func Open(ctx context.Context, store *cloud.Store, address string, o output.JournalOptions) (_ *Out, err error) {
	p, err := cloud.Parse(address)
	if err != nil {
		return nil, &weights.FileError{Doing: "write", File: address, Err: err}
	}
	r := &Out{ctx: ctx, store: store, out: p, last: time.Now()}
	if r.folder, err = os.MkdirTemp("", "captioner-out-*"); err != nil {
		return nil, err
	}
	r.File = filepath.Join(r.folder, path.Base(p.Key))
	if err := r.restore(o); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close takes the files of this machine away.
func (r *Out) Close() {
	if r != nil {
		os.RemoveAll(r.folder)
	}
}

func (r *Out) fail(err error) error {
	return &weights.FileError{Doing: "write", File: r.out.String(), Err: err}
}

// restore makes the files of a run that goes on, or refuses what is there.
func (r *Out) restore(o output.JournalOptions) error {
	for part, err := range r.store.List(r.ctx, r.out.At(r.out.Key+".part/"), true) {
		if err != nil {
			return r.fail(err)
		}
		r.parts = append(r.parts, part.Place)
	}
	before, err := r.store.Stat(r.ctx, r.out)
	missing := new(cloud.NotFoundError)
	switch {
	case err == nil:
		r.before = &before
	case !errors.As(err, &missing) || missing.Bucket:
		return r.fail(err)
	}
	if o.Overwrite {
		return r.forget()
	}
	for _, part := range r.parts {
		if err := r.adopt(part); err != nil {
			return r.fail(&weights.FileError{Doing: "read", File: part.String(), Err: err})
		}
	}
	if r.before != nil {
		if err := r.fetch(r.out, r.File, before.Time); err != nil {
			return r.fail(err)
		}
		journal := r.out.At(r.out.Key + ".journal")
		if err := r.fetch(journal, r.File+".journal", before.Time); err != nil && !errors.As(err, &missing) {
			return r.fail(err)
		}
	}
	o.Name = r.out.String()
	return output.CheckOut(r.File, o)
}

// fetch reads an object into a file, unless there is one.
func (r *Out) fetch(p cloud.Place, file string, at time.Time) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err = r.store.Copy(r.ctx, p, f, 1<<62); err != nil {
		f.Close()
		os.Remove(file)
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Chtimes(file, at, at)
}

// adopt adds a part to the files.
func (r *Out) adopt(p cloud.Place) error {
	var b bytes.Buffer
	if _, err := r.store.Copy(r.ctx, p, &b, 1<<40); err != nil {
		return err
	}
	var lengths [2]int64
	in := bufio.NewReader(&b)
	head, err := in.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscanf(head, "captioner part 1 %d %d\n", &lengths[0], &lengths[1])
	}
	if err != nil || lengths[0] < 0 || lengths[1] < 0 {
		return console.WithHint(errors.New("it is no part of a run of captioner"),
			"take that object away, or give another --out")
	}
	for i, file := range r.files() {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, in, lengths[i])
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		r.sent[i] += lengths[i]
	}
	return nil
}

// files are those whose growth is sent.
func (r *Out) files() [2]string { return [2]string{r.File + ".part", r.File + ".journal"} }

// Begun compares what the journal has made of the files with what was sent: a run of other options, or one that lost
// something, begins anew.
func (r *Out) Begun() error {
	for i, file := range r.files() {
		if info, err := os.Stat(file); err != nil || info.Size() < r.sent[i] {
			r.sent = [2]int64{}
			return r.forget()
		}
	}
	return nil
}

// forget takes the parts away.
func (r *Out) forget() error {
	for _, p := range r.parts {
		if err := r.store.Delete(r.ctx, p); err != nil {
			return r.fail(fmt.Errorf("take %q away: %w", p, err))
		}
	}
	r.parts = nil
	return nil
}

// Committed sends what the files have gained, where it is enough, or where it is asked for now.
func (r *Out) Committed(now bool) error {
	var gain [2]int64
	for i, file := range r.files() {
		info, err := os.Stat(file)
		if err != nil {
			return r.fail(weights.Reason(err))
		}
		gain[i] = info.Size() - r.sent[i]
	}
	if gain[0] <= 0 || !now && gain[0] < partSize && time.Since(r.last) < partWait {
		return nil
	}
	f, err := os.CreateTemp(r.folder, "part-*")
	if err != nil {
		return r.fail(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	fmt.Fprintf(f, "captioner part 1 %d %d\n", gain[0], gain[1])
	for i, file := range r.files() {
		if err := appendFrom(f, file, r.sent[i], gain[i]); err != nil {
			return r.fail(weights.Reason(err))
		}
	}
	p := r.out.At(fmt.Sprintf("%s.part/%06d", r.out.Key, len(r.parts)+1))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), sendTime) // a run that is interrupted loses nothing
	defer cancel()
	err = r.store.Write(ctx, p, f, true)
	if errors.Is(err, cloud.ErrThere) {
		err = console.WithHint(errors.New("another run is writing it"), "wait for it, or give another --out")
	}
	if err != nil {
		return r.fail(err)
	}
	r.parts, r.last = append(r.parts, p), time.Now()
	for i := range gain {
		r.sent[i] += gain[i]
	}
	return nil
}

// Sent says whether there is nothing to send any more, because the object itself was to be written.
func (r *Out) Sent() bool {
	_, err := os.Stat(r.files()[0])
	return err != nil
}

// appendFrom adds n bytes of a file, from a place on.
func appendFrom(w io.Writer, file string, at, n int64) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, io.NewSectionReader(f, at, n))
	return err
}

// Finish writes the whole object, unless somebody has changed it meanwhile, and takes the parts away.
func (r *Out) Finish() error {
	now, err := r.store.Stat(r.ctx, r.out)
	missing := new(cloud.NotFoundError)
	switch {
	case errors.As(err, &missing):
	case err != nil:
		return r.fail(err)
	case r.before == nil || now.Size != r.before.Size || !now.Time.Equal(r.before.Time):
		return r.fail(console.WithHint(errors.New("it has changed since the run began"),
			"take that object away, and run again with --resume"))
	}
	if err := r.put(r.File, r.out, r.before == nil); err != nil {
		return err
	}
	journal := r.File + ".journal"
	if _, err := os.Stat(journal); err == nil { // so that --resume can add to it
		if err := r.put(journal, r.out.At(r.out.Key+".journal"), false); err != nil {
			return err
		}
	} else if err := r.store.Delete(r.ctx, r.out.At(r.out.Key+".journal")); err != nil {
		return r.fail(err)
	}
	return r.forget()
}

func (r *Out) put(file string, p cloud.Place, fresh bool) error {
	f, err := os.Open(file)
	if err != nil {
		return r.fail(weights.Reason(err))
	}
	defer f.Close()
	if err := r.store.Write(r.ctx, p, f, fresh); err != nil {
		return &weights.FileError{Doing: "write", File: p.String(), Err: err}
	}
	return nil
}

// Failures writes the list of what failed beside the object, or takes that of an earlier run away.
func (r *Out) Failures(file string) error {
	p := r.out.At(r.out.Key + ".failed")
	if _, err := os.Stat(file); err != nil {
		return r.store.Delete(r.ctx, p)
	}
	return r.put(file, p, false)
}

// Lists says whether a list of what failed is the one that Failures sends.
func (r *Out) Lists(file string) bool { return r != nil && file == r.Failed() }

// Failed is the file of what failed that stands for OUT.failed.
func (r *Out) Failed() string { return r.File + ".failed" }

// String is the address of the object.
func (r *Out) String() string { return r.out.String() }
