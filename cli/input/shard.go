package input

import (
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"

	"captioner/cli/console"
)

// Shard is one part of n, counted from 0; the zero value is everything.
type Shard struct {
	Index, Of uint64
	From      string // where the numbers come from; "" is the flag
}

// Holds says whether a picture is in this part: by a checksum of its path below the argument, so that others that come or go change nothing.
func (s Shard) Holds(key string) bool {
	if s.Of == 0 {
		return true
	}
	h := fnv.New64a()
	io.WriteString(h, key)
	return h.Sum64()%s.Of == s.Index
}

// ParseShard reads I/N, auto or auto/N.
func ParseShard(s string, getenv func(string) string) (Shard, error) {
	if s == "" {
		return Shard{}, nil
	}
	if s == "auto" || strings.HasPrefix(s, "auto/") {
		return autoShard(s, getenv)
	}
	var i, n uint64
	if _, err := fmt.Sscanf(s+"\n", "%d/%d\n", &i, &n); err != nil || i < 1 || i > n {
		return Shard{}, console.Usagef("", "--shard %q: want I/N with I from 1 to N, auto or auto/N", s)
	}
	return Shard{Index: i - 1, Of: n}, nil
}

// launcher is a program that starts many processes and tells each its number, from first on, and how many there are.
type launcher struct{ name, index, of, first, step string }

// launchers in the order in which they are asked: what starts processes within others' comes first.
var launchers = []launcher{
	{name: "torchrun", index: "RANK", of: "WORLD_SIZE"},
	{name: "Open MPI", index: "OMPI_COMM_WORLD_RANK", of: "OMPI_COMM_WORLD_SIZE"},
	{name: "Kubernetes", index: "JOB_COMPLETION_INDEX", of: "COMPLETIONS"},
	{name: "Slurm", index: "SLURM_PROCID", of: "SLURM_NTASKS"},
	{name: "a Slurm array", index: "SLURM_ARRAY_TASK_ID", of: "SLURM_ARRAY_TASK_COUNT", first: "SLURM_ARRAY_TASK_MIN", step: "SLURM_ARRAY_TASK_STEP"},
}

// number reads what a launcher says; ok is false where it says nothing. of is 0 where only the index is known.
func (l launcher) number(getenv func(string) string) (s Shard, ok bool, err error) {
	read := func(name string, absent uint64) uint64 {
		v := strings.TrimSpace(getenv(name))
		if v == "" {
			return absent
		}
		n, e := strconv.ParseUint(v, 10, 32)
		if e != nil && err == nil {
			err = console.Usagef("", "--shard auto: %s is %q, want a whole number", name, v)
		}
		return n
	}
	if getenv(l.index) == "" {
		return Shard{}, false, nil
	}
	s = Shard{Index: read(l.index, 0), Of: read(l.of, 0), From: l.index}
	if s.Of > 0 {
		s.From += " and " + l.of
	}
	if l.first != "" {
		first, step := read(l.first, 0), max(read(l.step, 1), 1)
		if s.Index < first || (s.Index-first)%step != 0 {
			return s, true, console.Usagef("", "--shard auto: %s is %d, want %d and steps of %d", l.index, s.Index, first, step)
		}
		s.Index = (s.Index - first) / step
	}
	return s, true, err
}

// autoShard asks the launchers. A Slurm array of jobs that have several tasks each is divided twice.
func autoShard(flag string, getenv func(string) string) (Shard, error) {
	var found *Shard
	for _, l := range launchers {
		s, ok, err := l.number(getenv)
		if err != nil {
			return Shard{}, err
		}
		if !ok {
			continue
		}
		switch {
		case found == nil || found.Of == 1: // one process of one says nothing
			found = &s
		case l.name == "a Slurm array" && strings.HasPrefix(found.From, "SLURM_PROCID") && s.Of > 1 && found.Of > 1:
			found = &Shard{Index: s.Index*found.Of + found.Index, Of: s.Of * found.Of, From: s.From + ", and " + found.From}
		}
	}
	if found == nil {
		var names []string
		for _, l := range launchers {
			names = append(names, l.index)
		}
		return Shard{}, console.Usagef("", "--shard %s: none of %s is set, want one, or --shard I/N", flag, strings.Join(names, ", "))
	}
	if _, n, given := strings.Cut(flag, "/"); given {
		of, err := strconv.ParseUint(n, 10, 32)
		if err != nil || of == 0 {
			return Shard{}, console.Usagef("", "--shard %q: want auto/N with N 1 or more", flag)
		}
		if found.Of > 0 && found.Of != of {
			return Shard{}, console.Usagef("leave out one of them", "--shard %s: %s say %d parts", flag, found.From, found.Of)
		}
		found.Of = of
	}
	switch {
	case found.Of == 0:
		return Shard{}, console.Usagef("--shard auto/N says it, or for Kubernetes the variable COMPLETIONS", "--shard auto: %s is set, but nothing says how many parts there are", found.From)
	case found.Index >= found.Of:
		return Shard{}, console.Usagef("", "--shard auto: %s say part %d of %d, counted from 0", found.From, found.Index, found.Of)
	}
	return *found, nil
}

// Missed says that a launcher started several processes, and that nobody asked for parts: each would caption everything.
func Missed(getenv func(string) string) string {
	for _, l := range launchers {
		if s, ok, err := l.number(getenv); ok && err == nil && (s.Of > 1 || s.Of == 0 && l.name == "Kubernetes") {
			return fmt.Sprintf("%s says that this is one of several processes, and each captions everything; --shard auto gives each its part", s.From)
		}
	}
	return ""
}

// Name fills the places for the part's number into the name of a file.
func (s Shard) Name(out string) (string, error) {
	if !strings.Contains(out, "{part}") && !strings.Contains(out, "{parts}") {
		return out, nil
	}
	if s.Of == 0 {
		return out, console.Usagef("", "--out %q: {part} needs --shard", out)
	}
	width := len(strconv.FormatUint(s.Of, 10))
	return strings.NewReplacer("{part}", fmt.Sprintf("%0*d", width, s.Index+1), "{parts}", strconv.FormatUint(s.Of, 10)).Replace(out), nil
}
