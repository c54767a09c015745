package output

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"syscall"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/weights"
	"captioner/weights/atomicfile"
)

// Journal is the file of --out. While the run lasts, results go to FILE.part, and FILE.journal notes which images are
// in it and up to which byte. At the end FILE.part takes FILE's place. A run that has no end of its own writes lines
// into FILE itself, whole ones only.
//
// Before a batch is written, the journal says what it will be; behind it, which images it holds and the checksum of all
// that stands in the file up to there. So a run that goes on tells what a run that was killed has left half written,
// which it cuts off and does again, from what a person has written, which it keeps.
type Journal struct {
	file     string
	path     string // by which it is shown
	target   string // of the links of path
	format   string
	keep     bool // the journal stays, so that a later --resume can add to a finished file
	part     *os.File
	journal  *os.File
	fresh    []*os.File // those of them that held nothing before
	live     bool       // the part is the target itself
	size     int64      // of the part
	end      int64      // of the journal
	sum      uint64
	finished os.FileInfo // the target when the run began; nil for none
	done     map[input.ID]struct{}
	ids      map[string]int // of a format that knows numbers alone: how many captions there are of each
	Foreign  int            // lines that are no captions, and that stay
	Newer    int            // images that Has found in the file alone, and that changed after it did
	added    int            // images whose results this run has committed
	buf      bytes.Buffer
	notes    []noted // of what is in buf; their ends are counted from its begin
	places   input.Places
}

// JournalOptions say how the file of --out begins.
type JournalOptions struct {
	Identity  string // stands for everything that decides captions and their form
	Format    string // one of Formats
	Template  bool   // lines are of a --template, which need not name their images
	Resume    bool   // go on with what is there
	Overwrite bool   // start over, whatever is there
	Live      bool   // write into the file as captions come, where the format is lines
	Name      string // by which the file is shown; "" is its path
}

// shown is what a file is called.
func (o JournalOptions) shown(path string) string {
	if o.Name != "" {
		return o.Name
	}
	return path
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// OpenJournal begins or goes on. What a person or another run has written stays: what cannot be gone on with is
// refused.
func OpenJournal(path string, o JournalOptions) (_ *Journal, err error) {
	j := &Journal{file: path, path: o.shown(path), format: o.Format, keep: o.Resume,
		done: make(map[input.ID]struct{})}
	defer func() {
		if err != nil {
			j.abandon()
		}
	}()
	if err := j.open(o.Live && lines(o.Format) && packing(path) == ""); err != nil {
		return nil, err
	}
	head := journalHead + o.Identity + "\n"
	if o.Resume {
		if err := j.goOn(head, o); err != nil {
			return nil, j.fail(err)
		}
	} else if !o.Overwrite {
		if err := CheckOut(path, o); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(j.part.Truncate(j.size), j.journal.Truncate(j.end)); err != nil {
		return nil, j.fail(err)
	}
	if _, err := j.part.Seek(j.size, io.SeekStart); err != nil {
		return nil, j.fail(err)
	}
	if _, err := j.journal.Seek(j.end, io.SeekStart); err != nil {
		return nil, j.fail(err)
	}
	if j.end == 0 {
		err = j.log([]byte(head))
	}
	if err == nil && len(j.notes) > 0 { // of what was there and in no journal
		err = j.vouch(j.size)
	}
	if err != nil {
		return nil, j.fail(err)
	}
	return j, nil
}

// open opens and locks the part and the journal.
func (j *Journal) open(live bool) (err error) {
	if j.target, err = atomicfile.Target(j.file); err != nil {
		return err
	}
	if j.finished, err = os.Stat(j.target); err != nil {
		j.finished = nil
	}
	if j.journal, err = openPlain(j.target + ".journal"); err != nil {
		return j.fail(err)
	}
	if err := syscall.Flock(int(j.journal.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return j.fail(console.WithHint(errors.New("another run is writing it"), "wait for it, or give another --out"))
	}
	part := j.target + ".part"
	if _, err := os.Stat(part); live && errors.Is(err, fs.ErrNotExist) {
		part, j.live = j.target, true
	}
	if j.part, err = openPlain(part); err != nil {
		return j.fail(err)
	}
	for _, f := range []*os.File{j.journal, j.part} {
		if info, err := f.Stat(); err == nil && info.Size() == 0 && !(j.live && f == j.part && j.finished != nil) {
			j.fresh = append(j.fresh, f)
		}
	}
	return nil
}

// abandon lets go of a file that could not be begun, and takes away what was made for it.
func (j *Journal) abandon() {
	for _, f := range j.fresh {
		os.Remove(f.Name())
	}
	j.Close()
}

// lines says whether a format is lines that need nothing behind the last one.
func lines(format string) bool { return format != "coco" && format != "webdataset" }

// openPlain opens a file for reading and writing. A pipe or a device of that name is not opened.
func openPlain(path string) (*os.File, error) {
	target, err := atomicfile.Target(path)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(target, os.O_RDWR|os.O_CREATE, 0o666)
}

// Begun says whether the file holds anything yet.
func (j *Journal) Begun() bool { return j.size > 0 }

// Held is how many images are in the file now: what no disk took is not counted.
func (j *Journal) Held() int { return max(len(j.done), len(j.ids)) + j.added }

// Has says whether an image, as it is now, is in the file already. Each image is asked for once.
func (j *Journal) Has(in input.Input) bool {
	if len(j.done) == 0 && len(j.ids) == 0 {
		return false
	}
	stamp, newer := in.Stamp, false
	if in.Open == nil {
		info, err := os.Stat(in.Path)
		if err != nil {
			return false
		}
		stamp = input.StampOf(info)
		newer = j.finished != nil && info.ModTime().After(j.finished.ModTime())
	}
	place := j.places.Of(in)
	if _, ok := j.done[input.IDOf(place, stamp)]; ok {
		return true
	}
	if _, ok := j.done[input.IDOf(place, input.Stamp{})]; ok { // in the file, and in no journal
		if newer {
			j.Newer++
		}
		return true
	}
	if id := fmt.Sprint(imageID(in.Path)); j.ids[id] > 0 {
		j.ids[id]--
		return true
	}
	return false
}

// Write gathers; nothing reaches the file before Commit.
func (j *Journal) Write(b []byte) (int, error) { return j.buf.Write(b) }

// Note marks what was written since the last note as the result of one image.
func (j *Journal) Note(r *Result) {
	j.notes = append(j.notes, noted{int64(j.buf.Len()), input.IDOf(j.places.Of(r.Input), r.Stamp), r.Path})
}

// Commit writes what was gathered: first the journal says what comes, then it comes, then the journal vouches for it.
// What is of no image, such as the end of a format, no journal speaks of.
func (j *Journal) Commit() error {
	if j.buf.Len() == 0 {
		return nil
	}
	b, images := j.buf.Bytes(), len(j.notes)
	noted := images > 0
	var err error
	if j.live {
		err = j.follow()
	}
	if err == nil && noted {
		err = j.announce(b)
	}
	base := j.size
	if err == nil {
		var n int
		n, err = j.part.Write(b)
		j.size += int64(n)
		j.sum = crc64.Update(j.sum, crcTable, b[:n])
	}
	if err == nil && noted {
		err = j.vouch(base)
	}
	if err == nil {
		j.added += images
	}
	j.buf.Reset()
	j.notes = nil
	if err != nil {
		return j.fail(console.WithHint(weights.Reason(err),
			"what was written before stays in %q: run again with --resume to go on", j.path+".part"))
	}
	return nil
}

// follow goes on at the end of the file that has the name now, if somebody has changed it: with an editor that puts a
// new file in its place, or by a line that is appended.
func (j *Journal) follow() error {
	named, err := os.Stat(j.target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	held, err := j.part.Stat()
	if err != nil || named != nil && os.SameFile(named, held) && held.Size() == j.size {
		return err
	}
	f, err := openPlain(j.target)
	if err != nil {
		return err
	}
	j.part.Close()
	j.part = f
	if j.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	var last [1]byte
	if j.size > 0 {
		if _, err := f.ReadAt(last[:], j.size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			if _, err := f.WriteString("\n"); err != nil {
				return err
			}
			j.size++
		}
	}
	j.sum, err = sumOf(f, j.size)
	return err
}

// Finish puts the whole file in its place, unless somebody has changed what stands there meanwhile.
func (j *Journal) Finish() error {
	defer j.Close()
	if err := j.Commit(); err != nil {
		return err
	}
	if !j.live && changed(j.target, j.finished) {
		return j.fail(console.WithHint(errors.New("it has changed since the run began"),
			"all captions are in %q: look at both, and keep what you want", j.path+".part"))
	}
	if err := j.place(); err != nil {
		return err
	}
	if j.keep {
		return nil
	}
	if err := os.Remove(j.journal.Name()); err != nil {
		return j.fail(err)
	}
	return nil
}

// place puts the part in the target's place, compressed if its name says so.
func (j *Journal) place() error {
	if j.live {
		return j.part.Sync()
	}
	if packing(j.target) == "" {
		return atomicfile.Replace(j.part, j.target)
	}
	if _, err := j.part.Seek(0, io.SeekStart); err != nil {
		return j.fail(err)
	}
	write := Packed(j.target, func(w io.Writer) error { _, err := io.Copy(w, j.part); return err })
	if err := atomicfile.WriteFile(j.target, write); err != nil {
		return err
	}
	return os.Remove(j.part.Name())
}

// changed says whether another file stands at a path than stood there before; nil is of none.
func changed(path string, before os.FileInfo) bool {
	now, err := os.Stat(path)
	if err != nil {
		return false
	}
	return before == nil || !os.SameFile(now, before) || input.StampOf(now) != input.StampOf(before)
}

// Close lets go of the files; what is in them stays.
func (j *Journal) Close() {
	for _, f := range []*os.File{j.part, j.journal} {
		if f != nil {
			f.Close()
		}
	}
}

func (j *Journal) fail(err error) error {
	var target *atomicfile.TargetError
	if errors.As(err, &target) {
		return err
	}
	return &weights.FileError{Doing: "write", File: j.path, Err: weights.Reason(err)}
}
