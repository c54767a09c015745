package output

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"strconv"
	"strings"

	"captioner/cli/console"
	"captioner/cli/input"
)

// A journal is lines of text:
//
//	captioner journal 3 IDENTITY
//	> LENGTH TEXT             a batch of so many bytes is being written; its text in base64, where it is not too long
//	END ID PATH               an image's results end at byte END of the file; PATH is for people
//	END 000000000000 CRC      a batch ends there; the CRC-64 is of all bytes before END
//
// The line of what is being written gives way to the notes of the batch once it is there.
const journalHead = "captioner journal 3 "

// oldHead begins the journals of version 2, which did not say what was being written, nor the checksum of what was.
// What stands in their files is kept as if no journal spoke of it.
const oldHead = "captioner journal 2 "

// checkHead holds the first line of a journal to the one that this run would write.
func checkHead(found, head string) error {
	switch {
	case found == "" || found == head:
		return nil
	case strings.HasPrefix(found, journalHead):
		return console.WithHint(errors.New("the journal is of a run with another model or other options"),
			"give the options of that run, or --overwrite to start over")
	case strings.HasPrefix(found, "captioner journal "):
		return console.WithHint(errors.New("the journal is of another version of captioner"),
			"go on with that version, or give another --out")
	}
	return console.WithHint(errors.New("the file of its name with .journal behind it is no journal"),
		"move that file away, or give another --out")
}

// maxAnnounced is the longest batch whose text stands in the journal while it is written. A longer one, of a
// WebDataset, is known by its length.
const maxAnnounced = 1 << 20

// announce says what will be written.
func (j *Journal) announce(b []byte) error {
	text := ""
	if len(b) <= maxAnnounced {
		text = base64.StdEncoding.EncodeToString(b)
	}
	_, err := j.journal.WriteAt(fmt.Appendf(nil, "> %d %s\n", len(b), text), j.end)
	return err
}

// vouch writes the notes of what has been written from base on, in the place of what announced it.
func (j *Journal) vouch(base int64) error {
	var b bytes.Buffer
	for _, n := range j.notes {
		fmt.Fprintf(&b, "%d %x %s\n", base+n.end, n.id, console.Escape(n.path))
	}
	fmt.Fprintf(&b, "%d %x %x\n", j.size, input.ID{}, j.sum)
	j.notes = nil
	if err := j.log(b.Bytes()); err != nil {
		return err
	}
	return j.journal.Truncate(j.end)
}

func (j *Journal) log(b []byte) error {
	n, err := j.journal.WriteAt(b, j.end)
	j.end += int64(n)
	return err
}

// batch is what a journal says of one.
type batch struct {
	end     int64 // in the file
	sum     uint64
	notes   []noted
	journal int64 // end of its notes in the journal
}

type noted struct {
	end  int64 // in the file
	id   input.ID
	path string
}

// record is what a journal says.
type record struct {
	head      string
	batches   []batch
	announced int64  // length of what was being written; 0 for nothing
	text      []byte // of it; nil where it was too long
}

// readJournal reads as far as the lines make sense: behind that, a run was killed while it wrote them.
func readJournal(r io.Reader) (rec record, err error) {
	b := bufio.NewReader(r)
	if rec.head, err = b.ReadString('\n'); err == io.EOF {
		return record{}, nil // empty, or killed before its first line was whole
	} else if err != nil {
		return rec, err
	}
	read := int64(len(rec.head))
	var next batch
	for {
		line, err := b.ReadString('\n')
		if err == io.EOF {
			return rec, nil
		}
		if err != nil {
			return rec, err
		}
		read += int64(len(line))
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "> "); ok {
			length, text, _ := strings.Cut(rest, " ")
			rec.announced, _ = strconv.ParseInt(length, 10, 64)
			if t, err := base64.StdEncoding.DecodeString(text); err == nil && text != "" {
				rec.text = t
			}
			return rec, nil
		}
		end, id, rest, ok := parseNote(line)
		if !ok {
			return rec, nil
		}
		if id != (input.ID{}) {
			next.notes = append(next.notes, noted{end, id, console.Unescape(rest)})
			continue
		}
		if next.sum, err = strconv.ParseUint(rest, 16, 64); err != nil {
			return rec, nil
		}
		next.end, next.journal = end, read
		rec.batches = append(rec.batches, next)
		next = batch{}
	}
}

// parseNote reads "END ID REST".
func parseNote(line string) (end int64, id input.ID, rest string, ok bool) {
	word, rest, _ := strings.Cut(line, " ")
	name, rest, _ := strings.Cut(rest, " ")
	end, err := strconv.ParseInt(word, 10, 64)
	b, err2 := hex.DecodeString(name)
	if err != nil || err2 != nil || len(b) != len(id) || end < 0 {
		return 0, id, "", false
	}
	return end, input.ID(b), rest, true
}

// goOn finds out what is in the file and stays. Size, sum and end are then those of what stays.
func (j *Journal) goOn(head string, o JournalOptions) error {
	if _, err := j.journal.Seek(0, io.SeekStart); err != nil {
		return err
	}
	rec, err := readJournal(j.journal)
	if err != nil {
		return err
	}
	old := strings.HasPrefix(rec.head, oldHead)
	if err := checkHead(rec.head, head); err != nil && !old {
		return err
	}
	size, err := source(j.part, j.target)
	if err != nil || size == 0 {
		return err
	}
	if old {
		return goOnOld(j, size, o)
	}
	var good int
	if good, j.size, j.sum, err = verify(j.part, rec, size); err != nil {
		return err
	}
	length := size - j.size // of what stands behind that
	tail, err := tailOf(j.part, j.size, length)
	if err != nil {
		return err
	}
	whole := good == len(rec.batches)
	ours := length == 0 || rec.halfWritten(tail, length) || length == int64(len(tail)) &&
		bytes.Equal(tail, endOf(j.format))
	if rec.head != "" && whole && ours {
		j.trust(rec)
		return nil
	}
	lost := rec.announced > 0 || !whole && rec.batches[len(rec.batches)-1].end > size
	if lost && !o.Template {
		if lost, err = cutHalf(j.part, rec, size); err != nil {
			return err
		}
	}
	return j.adopt(rec, lost, o)
}

// goOnOld goes on after a run with a journal of version 2. All whole lines stay. A last one without its end, behind
// what that journal vouches for, is half written.
func goOnOld(j *Journal, size int64, o JournalOptions) error {
	if _, err := j.journal.Seek(0, io.SeekStart); err != nil {
		return err
	}
	whole := int64(0)
	lines := bufio.NewScanner(j.journal)
	for lines.Scan() {
		if end, id, _, ok := parseNote(lines.Text()); ok && id == (input.ID{}) && end <= size {
			whole = max(whole, end)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	tail, err := tailOf(j.part, whole, size-whole)
	if err != nil {
		return err
	}
	half := len(tail) > 0 && tail[len(tail)-1] != '\n'
	if half && !o.Template {
		if err := j.part.Truncate(whole + int64(bytes.LastIndexByte(tail, '\n')) + 1); err != nil {
			return err
		}
	}
	return j.adopt(record{}, false, o)
}

// source makes sure that the part holds what was done before: after a finished run, that is the file itself.
func source(part *os.File, target string) (int64, error) {
	info, err := part.Stat()
	if err != nil || info.Size() > 0 {
		return info.Size(), err
	}
	f, err := os.Open(target)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if packing(target) == "" {
		return io.Copy(part, f)
	}
	return unpackTo(part, f)
}

// verify counts the batches up to the last one before which all bytes are as they were written, and gives its end and
// the checksum up to there.
func verify(f *os.File, rec record, size int64) (good int, end int64, sum uint64, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, 0, 0, err
	}
	r := bufio.NewReaderSize(f, 1<<16)
	h := crc64.New(crcTable)
	at := int64(0)
	for i, b := range rec.batches {
		if b.end < at || b.end > size {
			break
		}
		if _, err := io.CopyN(h, r, b.end-at); err != nil {
			return 0, 0, 0, err
		}
		if at = b.end; h.Sum64() == b.sum {
			good, end, sum = i+1, b.end, b.sum
		}
	}
	return good, end, sum, nil
}

// tailOf is what stands in a file from a byte on; nil where it is longer than any text in a journal.
func tailOf(f *os.File, at, length int64) ([]byte, error) {
	if length > maxAnnounced {
		return nil, nil
	}
	b := make([]byte, length)
	_, err := f.ReadAt(b, at)
	if err == io.EOF {
		err = nil
	}
	return b, err
}

// halfWritten says whether the tail of a file is what the journal says was being written.
func (r record) halfWritten(tail []byte, length int64) bool {
	if r.announced == 0 || length > r.announced {
		return false
	}
	return r.text == nil || bytes.HasPrefix(r.text, tail)
}

// trust takes over what a journal says. What stands behind its last batch is cut off.
func (j *Journal) trust(rec record) {
	for _, b := range rec.batches {
		for _, n := range b.notes {
			j.done[n.id] = struct{}{}
		}
		j.end = b.journal
	}
	if j.end == 0 {
		j.end = int64(len(rec.head))
	}
}

// cutHalf cuts off what stands in a file behind the last image of which the journal says that it ends there, if the
// file ends before the next image does: the machine lost the rest. A line that lacks its end alone is whole. Where the
// lines end elsewhere than the journal says, the last one may still be half of one.
func cutHalf(f *os.File, rec record, size int64) (half bool, err error) {
	at := int64(0)
	for _, b := range rec.batches {
		for _, n := range b.notes {
			if n.end <= size {
				at = n.end
				continue
			}
			var last [1]byte
			if at == size || n.end == size+1 {
				return false, nil
			}
			if at == 0 {
				return true, nil
			}
			if _, err := f.ReadAt(last[:], at-1); err != nil || last[0] != '\n' {
				return true, err
			}
			return false, f.Truncate(at)
		}
	}
	return rec.announced > 0, nil
}

// adopt keeps all that is in the part, whoever wrote it, and takes what it says for done. lost says that a batch was
// not written whole: then the last line may be half of one.
func (j *Journal) adopt(rec record, lost bool, o JournalOptions) error {
	if o.Template {
		return console.WithHint(errors.New("it was changed since, and lines of --template do not say which image they "+
			"are of"),
			"give another --out, or --overwrite to start over")
	}
	s, err := scanCaptions(j.part, o.Format, lost)
	if err != nil {
		return console.WithHint(fmt.Errorf("it cannot be gone on with: %v", err),
			"mend it, give another --out, or --overwrite to replace it")
	}
	j.end, j.size, j.Foreign = 0, s.end, s.foreign
	if s.open {
		if _, err := j.part.WriteAt([]byte("\n"), j.size); err != nil {
			return err
		}
		j.size++
	}
	if j.sum, err = sumOf(j.part, j.size); err != nil {
		return err
	}
	j.known(rec, s.paths)
	return nil
}

// known notes the images of a file as done: as they were when the journal noted them, else as they are now.
func (j *Journal) known(rec record, paths []string) {
	if j.format == "coco" {
		j.ids = make(map[string]int)
		for _, id := range paths {
			j.ids[id]++
		}
		return
	}
	before := make(map[string][]input.ID)
	for _, b := range rec.batches {
		for _, n := range b.notes {
			before[n.path] = append(before[n.path], n.id)
		}
	}
	for _, path := range paths {
		ids := before[path]
		if ids == nil {
			ids = []input.ID{input.IDOf(j.places.Of(input.Input{Path: path}), input.Stamp{})}
		}
		for _, id := range ids {
			j.done[id] = struct{}{}
			j.notes = append(j.notes, noted{0, id, path})
		}
	}
}

func sumOf(f *os.File, size int64) (uint64, error) {
	h := crc64.New(crcTable)
	_, err := io.Copy(h, io.NewSectionReader(f, 0, size))
	return h.Sum64(), err
}
