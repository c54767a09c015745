package input

import (
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"

	"captioner/cli/console"
	"captioner/torch/dist/launch"
	"captioner/weights/plural"
)

// Shard is one part of n, counted from 0; the zero value is everything.
type Shard struct {
	Index, Of uint64
	From      string // where the numbers come from; "" is the flag
}

// Holds says whether an image is in this part: by a checksum of its path below the argument, so that others that come
// or go change nothing.
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

// autoShard takes this process's part from the launcher that started it.
func autoShard(flag string, getenv func(string) string) (Shard, error) {
	task, err := launch.Independent(getenv)
	if err != nil {
		return Shard{}, console.Usagef("", "--shard %s: %v", flag, err)
	}
	if task == nil {
		names := strings.Join(launch.IndexVariables(), ", ")
		return Shard{}, console.Usagef("", "--shard %s: none of %s is set, want one, or --shard I/N", flag, names)
	}
	s := Shard{Index: uint64(task.Index), Of: uint64(task.Of), From: task.From}
	if _, n, given := strings.Cut(flag, "/"); given {
		of, err := strconv.ParseUint(n, 10, 32)
		if err != nil || of == 0 {
			return Shard{}, console.Usagef("", "--shard %q: want auto/N with N 1 or more", flag)
		}
		if s.Of > 0 && s.Of != of {
			return Shard{}, console.Usagef("leave out one of them", "--shard %s: %s say %s", flag, s.From, plural.Count(s.Of,
				"part"))
		}
		s.Of = of
	}
	switch {
	case s.Of == 0:
		return Shard{}, console.Usagef("--shard auto/N says it, or for Kubernetes the variable COMPLETIONS",
			"--shard auto: %s is set, but nothing says how many parts there are", s.From)
	case s.Index >= s.Of:
		return Shard{}, console.Usagef("", "--shard %s: %s says part %d of %d, counted from 0", flag, s.From, s.Index, s.Of)
	}
	return s, nil
}

// Missed says that a launcher started several processes, and that nobody asked for parts: each would caption
// everything.
func Missed(getenv func(string) string) string {
	task, several := launch.Several(getenv)
	if !several {
		return ""
	}
	return task.From + " says that this is one of several processes, and each captions everything; " +
		"--shard auto gives each its part"
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
	return strings.NewReplacer("{part}", fmt.Sprintf("%0*d", width, s.Index+1), "{parts}",
		strconv.FormatUint(s.Of, 10)).Replace(out), nil
}
