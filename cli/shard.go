package cli

import (
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
)

// shard is one part of n, counted from 0; the zero value is everything.
type shard struct {
	index, of uint64
	from      string // where the numbers come from; "" is the flag
}

// holds says whether a picture is in this part: by a checksum of its path below the argument, so that others that come or go change nothing.
func (s shard) holds(key string) bool {
	if s.of == 0 {
		return true
	}
	h := fnv.New64a()
	io.WriteString(h, key)
	return h.Sum64()%s.of == s.index
}

// parseShard reads I/N, auto or auto/N.
func parseShard(s string, getenv func(string) string) (shard, error) {
	if s == "" {
		return shard{}, nil
	}
	if s == "auto" || strings.HasPrefix(s, "auto/") {
		return autoShard(s, getenv)
	}
	var i, n uint64
	if _, err := fmt.Sscanf(s+"\n", "%d/%d\n", &i, &n); err != nil || i < 1 || i > n {
		return shard{}, usagef("", "--shard %q: want I/N with I from 1 to N, auto or auto/N", s)
	}
	return shard{index: i - 1, of: n}, nil
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
func (l launcher) number(getenv func(string) string) (s shard, ok bool, err error) {
	read := func(name string, absent uint64) uint64 {
		v := strings.TrimSpace(getenv(name))
		if v == "" {
			return absent
		}
		n, e := strconv.ParseUint(v, 10, 32)
		if e != nil && err == nil {
			err = usagef("", "--shard auto: %s is %q, want a whole number", name, v)
		}
		return n
	}
	if getenv(l.index) == "" {
		return shard{}, false, nil
	}
	s = shard{index: read(l.index, 0), of: read(l.of, 0), from: l.index}
	if s.of > 0 {
		s.from += " and " + l.of
	}
	if l.first != "" {
		first, step := read(l.first, 0), max(read(l.step, 1), 1)
		if s.index < first || (s.index-first)%step != 0 {
			return s, true, usagef("", "--shard auto: %s is %d, want %d and steps of %d", l.index, s.index, first, step)
		}
		s.index = (s.index - first) / step
	}
	return s, true, err
}

// autoShard asks the launchers. A Slurm array of jobs that have several tasks each is divided twice.
func autoShard(flag string, getenv func(string) string) (shard, error) {
	var found *shard
	for _, l := range launchers {
		s, ok, err := l.number(getenv)
		if err != nil {
			return shard{}, err
		}
		if !ok {
			continue
		}
		switch {
		case found == nil || found.of == 1: // one process of one says nothing
			found = &s
		case l.name == "a Slurm array" && strings.HasPrefix(found.from, "SLURM_PROCID") && s.of > 1 && found.of > 1:
			found = &shard{index: s.index*found.of + found.index, of: s.of * found.of, from: s.from + ", and " + found.from}
		}
	}
	if found == nil {
		var names []string
		for _, l := range launchers {
			names = append(names, l.index)
		}
		return shard{}, usagef("", "--shard %s: none of %s is set, want one, or --shard I/N", flag, strings.Join(names, ", "))
	}
	if _, n, given := strings.Cut(flag, "/"); given {
		of, err := strconv.ParseUint(n, 10, 32)
		if err != nil || of == 0 {
			return shard{}, usagef("", "--shard %q: want auto/N with N 1 or more", flag)
		}
		if found.of > 0 && found.of != of {
			return shard{}, usagef("leave out one of them", "--shard %s: %s say %d parts", flag, found.from, found.of)
		}
		found.of = of
	}
	switch {
	case found.of == 0:
		return shard{}, usagef("--shard auto/N says it, or for Kubernetes the variable COMPLETIONS", "--shard auto: %s is set, but nothing says how many parts there are", found.from)
	case found.index >= found.of:
		return shard{}, usagef("", "--shard auto: %s say part %d of %d, counted from 0", found.from, found.index, found.of)
	}
	return *found, nil
}

// missed says that a launcher started several processes, and that nobody asked for parts: each would caption everything.
func missed(getenv func(string) string) string {
	for _, l := range launchers {
		if s, ok, err := l.number(getenv); ok && err == nil && (s.of > 1 || s.of == 0 && l.name == "Kubernetes") {
			return fmt.Sprintf("%s says that this is one of several processes, and each captions everything; --shard auto gives each its part", s.from)
		}
	}
	return ""
}

// name fills the places for the part's number into the name of a file.
func (s shard) name(out string) (string, error) {
	if !strings.Contains(out, "{part}") && !strings.Contains(out, "{parts}") {
		return out, nil
	}
	if s.of == 0 {
		return out, usagef("", "--out %q: {part} needs --shard", out)
	}
	width := len(strconv.FormatUint(s.of, 10))
	return strings.NewReplacer("{part}", fmt.Sprintf("%0*d", width, s.index+1), "{parts}", strconv.FormatUint(s.of, 10)).Replace(out), nil
}
