package output

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"captioner/cli/console"
	"captioner/cli/input"
)

// Journal is the file of --out. While the run lasts, results go to FILE.part, and FILE.journal notes which pictures are in it and up to which
// byte. At the end FILE.part takes FILE's place. A run that was killed at any point leaves a journal from which --resume goes on: what stands
// in FILE.part behind the journal's last whole batch is cut off and done again, so that batches are made up as if nothing had happened.
type Journal struct {
	path    string
	keep    bool // the journal stays, so that a later --resume can add to a finished file
	part    *os.File
	journal *os.File
	Size    int64 // of the part
	Done    map[input.ID]struct{}
	buf     bytes.Buffer
	notes   bytes.Buffer
}

// OpenJournal begins or, with resume, goes on. identity stands for everything that decides captions and their form: a journal of another one
// is refused.
func OpenJournal(path, identity string, resume bool) (_ *Journal, err error) {
	o := &Journal{path: path, keep: resume, Done: make(map[input.ID]struct{})}
	defer func() {
		if err != nil {
			o.Close()
			err = fmt.Errorf("write %q: %w", path, err)
		}
	}()
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is a %s, want a file", console.Kind(info.Mode()))
	}
	if o.journal, err = os.OpenFile(path+".journal", os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, console.Reason(err)
	}
	if err := syscall.Flock(int(o.journal.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, console.WithHint(errors.New("another run is writing it"), "wait for it, or give another --out")
	}
	if o.part, err = os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, console.Reason(err)
	}
	head := "captioner journal 2 " + identity + "\n"
	from := int64(0) // of the journal: what is kept of it
	if resume {
		if from, err = o.replay(head); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(o.part.Truncate(o.Size), o.journal.Truncate(from)); err != nil {
		return nil, console.Reason(err)
	}
	_, err1 := o.part.Seek(o.Size, io.SeekStart)
	_, err2 := o.journal.Seek(from, io.SeekStart)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if from == 0 {
		_, err = o.journal.WriteString(head)
	}
	return o, err
}

// replay reads the journal and returns how many bytes of it hold. An empty one is a fresh start.
func (o *Journal) replay(head string) (int64, error) {
	r := bufio.NewReader(o.journal)
	first, err := r.ReadString('\n')
	if err == io.EOF { // empty, or killed before its first line was whole
		return 0, nil
	}
	if err != nil {
		return 0, console.Reason(err)
	}
	if first != head {
		return 0, console.WithHint(errors.New("the journal is of a run with another model or other options"),
			"give the options of that run, or leave out --resume to start over")
	}
	size, err := o.source()
	if err != nil {
		return 0, err
	}
	from := int64(len(first))
	read := from
	var batch []input.ID // pictures of a batch whose end has not been read
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			return from, nil
		}
		if err != nil {
			return 0, console.Reason(err)
		}
		end, key, ok := parseNote(line)
		if !ok || end > size || end < o.Size { // the machine lost what it had not written: go on from what there is
			return from, nil
		}
		read += int64(len(line))
		if key != (input.ID{}) {
			batch = append(batch, key)
			continue
		}
		from, o.Size = read, end
		for _, k := range batch {
			o.Done[k] = struct{}{}
		}
		batch = batch[:0]
	}
}

// source makes sure that the part holds what was done before: after a finished run, that is the file itself.
func (o *Journal) source() (int64, error) {
	info, err := o.part.Stat()
	if err != nil || info.Size() > 0 {
		return info.Size(), err
	}
	f, err := os.Open(o.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, console.Reason(err)
	}
	defer f.Close()
	n, err := io.Copy(o.part, f)
	return n, err
}

// parseNote reads "END KEY PATH"; the path is for people. A key of zeros ends a batch.
func parseNote(line string) (int64, input.ID, bool) {
	var key input.ID
	end, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	word, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(end, 10, 64)
	b, err2 := hex.DecodeString(word)
	if err != nil || err2 != nil || len(b) != len(key) || n < 0 {
		return 0, key, false
	}
	return n, input.ID(b), true
}

// Has says whether a picture, as it is now, is in the file already.
func (o *Journal) Has(in input.Input) bool {
	if len(o.Done) == 0 {
		return false
	}
	stamp := in.Stamp
	if in.Open == nil {
		info, err := os.Stat(in.Path)
		if err != nil {
			return false
		}
		stamp = input.StampOf(info)
	}
	_, ok := o.Done[input.IDOf(in.Path, stamp)]
	return ok
}

// Write gathers; nothing reaches the file before commit.
func (o *Journal) Write(b []byte) (int, error) { return o.buf.Write(b) }

// Note marks what was written since the last note as the result of one picture.
func (o *Journal) Note(r *Result) {
	fmt.Fprintf(&o.notes, "%d %x %s\n", o.Size+int64(o.buf.Len()), input.IDOf(r.Path, r.Stamp), console.Escape(r.Path))
}

// Commit writes what was gathered: first the results, then the journal that vouches for them.
func (o *Journal) Commit() error {
	n, err := o.part.Write(o.buf.Bytes())
	o.Size += int64(n)
	if err == nil && o.notes.Len() > 0 {
		fmt.Fprintf(&o.notes, "%d %x\n", o.Size, input.ID{})
		_, err = o.journal.Write(o.notes.Bytes())
	}
	o.buf.Reset()
	o.notes.Reset()
	if err != nil {
		return fmt.Errorf("write %q: %w", o.path, console.WithHint(console.Reason(err), "what was written before stays in %q: run again with --resume to go on", o.path+".part"))
	}
	return nil
}

// Finish puts the whole file in its place.
func (o *Journal) Finish() error {
	err := o.Commit()
	if err == nil {
		err = o.part.Sync()
	}
	if err == nil {
		err = os.Rename(o.part.Name(), o.path)
	}
	if err == nil && !o.keep {
		err = os.Remove(o.journal.Name())
	}
	o.Close()
	if err != nil {
		return fmt.Errorf("write %q: %w", o.path, console.Reason(err))
	}
	return nil
}

func (o *Journal) Close() {
	for _, f := range []*os.File{o.part, o.journal} {
		if f != nil {
			f.Close()
		}
	}
}
