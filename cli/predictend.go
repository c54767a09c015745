package cli

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"captioner/cli/console"
	"captioner/weights"
	"captioner/weights/plural"
)

// tally counts what became of the images of a run.
type tally struct {
	done, failed int64
	uncertain    int64 // of those done
	skipped      int64 // captions that an earlier run has written
	kept         int64 // sidecars or descriptions that are there, and stay
}

func (t *tally) add(n tally) {
	t.done, t.failed, t.skipped, t.kept = t.done+n.done, t.failed+n.failed, t.skipped+n.skipped, t.kept+n.kept
}

func (t *tally) all() int64 { return t.done + t.failed + t.skipped + t.kept }

// end closes the outputs and says how it went.
func (r *predictRun) end(start time.Time, err error) error {
	if r.counted != nil {
		close(r.counted)
	}
	r.progress.Finish()
	if err == nil {
		err = r.complete()
	} else if r.file != nil {
		r.file.Close()
	}
	if err != nil && r.file != nil && r.remote != nil && !r.remote.Sent() {
		if err := r.remote.Committed(true); err != nil {
			r.con.Term.Log.Warn(console.Message(err))
		}
	}
	if err != nil && r.file != nil && !r.o.Watch {
		r.con.Term.Log.Warn(fmt.Sprintf("%s in %q", plural.Are(r.file.Held(), "caption"), r.o.shown+".part"), "hint",
			"run again with --resume to go on")
	}
	if err := r.list.Close(); err != nil {
		r.con.Term.Log.Warn(fmt.Sprintf("the list of what failed is not whole: write %q: %v", r.o.Failures,
			weights.Reason(err)))
	}
	if r.remote.Lists(r.o.Failures) {
		if err := r.remote.Failures(r.o.Failures); err != nil {
			r.con.Term.Log.Warn("the list of what failed is not there: " + console.Message(err))
		}
	}
	took := time.Since(start)
	if r.sheet != nil && err == nil {
		err = r.sheet.Finish(r.summary(took))
	} else if r.sheet != nil {
		r.sheet.Abandon()
	}
	r.warnings()
	if err == nil || r.file == nil && !errors.Is(err, syscall.EPIPE) {
		r.last(took)
	}
	switch {
	case err != nil:
		return err
	case r.tally.failed > 0:
		return console.ErrSome
	}
	return nil
}

// warnings says what the run has left out.
func (r *predictRun) warnings() {
	if r.file != nil && r.file.Newer > 0 {
		r.con.Term.Log.Warn(fmt.Sprintf("%q: kept the captions of %s changed after it was written", r.o.shown,
			plural.Count(r.file.Newer, "image")), "hint", "take those lines out to caption these images again")
	}
	r.in.Passed.Log(r.con.Term.Log)
}

func (r *predictRun) complete() error {
	if err := r.format.End(r.out); err != nil {
		return err
	}
	if r.file == nil {
		return r.buffer.Flush()
	}
	if r.remote == nil {
		return r.file.Finish()
	}
	if err := r.remote.Committed(true); err != nil { // so that nothing is lost where the last step fails
		return err
	}
	if err := r.file.Finish(); err != nil {
		return err
	}
	return r.remote.Finish()
}

// last is the last line of a run, of one image too where it is not on the screen; with --verbose, where the time went.
func (r *predictRun) last(took time.Duration) {
	if n := &r.tally; n.all() > 1 || n.skipped+n.kept > 0 || n.all() == 1 && r.made() != "" {
		r.con.Term.Log.Info(r.summary(took))
	}
	t, m := &r.pipe.Times, r.model.Times()
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
	// The stages work side by side: their times add up to more than it took.
	r.con.Term.Log.Debug(fmt.Sprintf("time in decode %s over %s, encode %s, generate %s, write %s",
		seconds(time.Duration(t.Load.Load())), plural.Count(r.o.Workers, "worker"), seconds(m.Encode-r.before.Encode),
		seconds(m.Generate-r.before.Generate), seconds(time.Duration(t.Sink.Load()))))
}

// summary says how many captions there are and where, how long they took, and what has none:
// "1,000 captions → c.jsonl (0:40, 25 images/s), 3 failed → c.jsonl.failed".
func (r *predictRun) summary(took time.Duration) string {
	n := &r.tally
	var s strings.Builder
	s.WriteString(plural.Count(n.done, "caption"))
	if made := r.made(); made != "" && n.done+n.skipped > 0 {
		s.WriteString(" → " + made)
	}
	if n.done > 0 {
		fmt.Fprintf(&s, " (%s, %s)", console.Took(took), console.Rate(float64(n.done)/took.Seconds(), "image"))
	}
	if n.uncertain > 0 {
		fmt.Fprintf(&s, ", %s uncertain", plural.Number(n.uncertain))
	}
	if n.skipped > 0 {
		fmt.Fprintf(&s, ", %s done before", plural.Number(n.skipped))
	}
	if n.kept > 0 {
		why := "sidecar exists"
		if r.inside != nil {
			why = "described already"
		}
		fmt.Fprintf(&s, ", %s skipped: %s (--existing overwrite)", plural.Number(n.kept), why)
	}
	if n.failed > 0 {
		fmt.Fprintf(&s, ", %s failed", plural.Number(n.failed))
		if list := r.list.Listed(); list != "" {
			s.WriteString(" → " + list)
		}
	}
	return s.String()
}

// made names what the run writes besides standard output; "" for nothing.
func (r *predictRun) made() string {
	if r.o.DryRun {
		return "nothing (--dry-run)"
	}
	var made []string
	if r.o.Out != "" {
		made = append(made, console.Visible(r.o.shown))
	}
	if r.beside != nil {
		made = append(made, r.o.Sidecar+" files beside the images")
	}
	if r.inside != nil {
		made = append(made, "the images themselves")
	}
	if r.o.HTML != "" {
		made = append(made, console.Visible(r.o.HTML))
	}
	return strings.Join(made, " and ")
}
