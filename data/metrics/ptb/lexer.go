package ptb

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// A rule is one line of a lexer: at each position the rule with the longest match (head and tail together) wins, the
// earliest of several that are equally long. The token is what the head matched; the tail only has to follow.
// Patterns have the syntax of package regexp; letters outside brackets match both cases.
type rule struct {
	head, tail string
	do         action
}

// A lexer runs rules as one deterministic automaton over UTF-16 units. States are built when they are first reached and
// then shared by all goroutines, so a lexer costs a few milliseconds to make and is safe for concurrent use.
type lexer struct {
	rules []rule
	class []uint8 // of each UTF-16 unit; units of one class are alike to all rules
	all   *automaton
	heads []*automaton // of the rules with a tail, else nil
	tails []*automaton
}

// newLexer compiles the rules.
func newLexer(rules []rule) (*lexer, error) {
	l := &lexer{rules: rules, heads: make([]*automaton, len(rules)), tails: make([]*automaton, len(rules))}
	var progs []*syntax.Prog
	parse := func(pattern string) (*syntax.Prog, error) {
		re, err := syntax.Parse(bothCases(pattern), syntax.Perl)
		if err != nil {
			return nil, fmt.Errorf("compile lexer rule %q: %w", pattern, err)
		}
		p, err := syntax.Compile(re.Simplify())
		if err != nil {
			return nil, fmt.Errorf("compile lexer rule %q: %w", pattern, err)
		}
		progs = append(progs, p)
		return p, nil
	}
	whole := make([]*syntax.Prog, len(rules))
	parts := make([][2]*syntax.Prog, len(rules))
	for i, r := range rules {
		var err error
		if whole[i], err = parse("(?:" + r.head + ")(?:" + r.tail + ")"); err != nil {
			return nil, err
		}
		if r.tail == "" {
			continue
		}
		for j, s := range []string{r.head, r.tail} {
			if parts[i][j], err = parse(s); err != nil {
				return nil, err
			}
		}
	}
	sets, err := l.classify(progs)
	if err != nil {
		return nil, err
	}
	l.all = newAutomaton(whole, sets)
	for i, p := range parts {
		if p[0] != nil {
			l.heads[i] = newAutomaton(p[:1], sets)
			l.tails[i] = newAutomaton(p[1:], sets)
		}
	}
	return l, nil
}

// bothCases writes each ASCII letter that stands outside brackets as a bracket with all characters that
// Java's methods turn into it by changing case.
func bothCases(pattern string) string {
	var b strings.Builder
	in := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\':
			j := i + 2
			if pattern[i+1] == 'x' {
				j = i + 4
				if pattern[i+2] == '{' {
					j = i + strings.IndexByte(pattern[i:], '}') + 1
				}
			}
			b.WriteString(pattern[i:j])
			i = j - 1
			continue
		case c == '[' && !in:
			in = true
		case c == ']':
			in = false
		case !in && ('a' <= c|0x20 && c|0x20 <= 'z'):
			b.Write([]byte{'[', c &^ 0x20, c | 0x20})
			switch c | 0x20 {
			case 's':
				b.WriteString(`\x{17f}`) // long s
			case 'k':
				b.WriteString(`\x{212a}`) // the sign for kelvin
			case 'i':
				b.WriteString(`\x{130}\x{131}`) // the Turkish letters, dotted and dotless
			}
			b.WriteByte(']')
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// A classSet has a bit for each class of units.
type classSet [4]uint64

func (s *classSet) has(c uint8) bool { return s[c>>6]&(1<<(c&63)) != 0 }

// classify fills l.class: two units share a class when every set of units in the programs has both or neither.
// It returns each distinct set, by its text, as a set of classes.
func (l *lexer) classify(progs []*syntax.Prog) (map[string]*classSet, error) {
	ranges := map[string][]rune{}
	var names []string
	for _, p := range progs {
		for i := range p.Inst {
			in := &p.Inst[i]
			if r, ok := instRanges(in); ok {
				if k := string(r); ranges[k] == nil {
					ranges[k] = r
					names = append(names, k)
				}
			}
		}
	}
	sort.Strings(names)
	// Every bound of a range starts an interval whose units are all alike.
	cuts := []int{0}
	for _, n := range names {
		r := ranges[n]
		for i := 0; i < len(r); i += 2 {
			cuts = append(cuts, int(r[i]), int(r[i+1])+1)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	signature := make([][]byte, len(cuts))
	for i := range signature {
		signature[i] = make([]byte, (len(names)+7)/8)
	}
	for ni, n := range names {
		r := ranges[n]
		for i := 0; i < len(r); i += 2 {
			at, _ := slices.BinarySearch(cuts, int(r[i]))
			for ; at < len(cuts) && cuts[at] <= int(r[i+1]); at++ {
				signature[at][ni/8] |= 1 << (ni % 8)
			}
		}
	}
	sets := make(map[string]*classSet, len(names))
	for _, n := range names {
		sets[n] = new(classSet)
	}
	ids := map[string]int{}
	l.class = make([]uint8, 0x10000)
	for i, from := range cuts {
		if from > 0xFFFF {
			break
		}
		to := 0x10000
		if i+1 < len(cuts) {
			to = min(to, cuts[i+1])
		}
		id, ok := ids[string(signature[i])]
		if !ok {
			id = len(ids)
			if id > 255 {
				return nil, fmt.Errorf("compile lexer: more than 256 classes of characters")
			}
			ids[string(signature[i])] = id
			for ni, n := range names {
				if signature[i][ni/8]&(1<<(ni%8)) != 0 {
					sets[n][id>>6] |= 1 << (id & 63)
				}
			}
		}
		for u := from; u < to; u++ {
			l.class[u] = uint8(id)
		}
	}
	return sets, nil
}

// instRanges returns the units that an instruction consumes as pairs of bounds, and whether it consumes any.
func instRanges(in *syntax.Inst) ([]rune, bool) {
	switch in.Op {
	case syntax.InstRune:
		if len(in.Rune) != 1 {
			return in.Rune, true
		}
		r := []rune{in.Rune[0], in.Rune[0]}
		if syntax.Flags(in.Arg)&syntax.FoldCase != 0 { // how the compiler stores a bracket with the two cases of a letter
			for f := unicode.SimpleFold(r[0]); f != r[0]; f = unicode.SimpleFold(f) {
				r = append(r, f, f)
			}
		}
		return r, true
	case syntax.InstRune1:
		return []rune{in.Rune[0], in.Rune[0]}, true
	case syntax.InstRuneAny:
		return []rune{0, utf8.MaxRune}, true
	case syntax.InstRuneAnyNotNL:
		return []rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}, true
	}
	return nil, false
}

// An automaton is a nondeterministic program and the deterministic states found so far.
type automaton struct {
	insts []inst
	start *state

	mu     sync.Mutex
	states map[string]*state
}

type inst struct {
	set    *classSet // nil for a match
	next   []uint32  // consuming and matching instructions that may follow
	accept int16     // the rule of a match
}

// A state is a set of instructions that wait for the next unit.
type state struct {
	pcs    []uint32
	accept int16 // the first rule that matches here, or -1
	next   []atomic.Pointer[state]
}

// dead is the state that no unit leaves and that accepts nothing.
var dead = &state{accept: -1}

const maxClasses = 256

func newAutomaton(progs []*syntax.Prog, sets map[string]*classSet) *automaton {
	a := &automaton{states: map[string]*state{}}
	var entry []uint32
	base := uint32(0)
	for rule, p := range progs {
		for i := range p.Inst {
			in := inst{accept: -1}
			src := &p.Inst[i]
			if r, ok := instRanges(src); ok {
				in.set = sets[string(r)]
				in.next = closure(p, src.Out, base)
			} else if src.Op == syntax.InstMatch {
				in.accept = int16(rule)
			}
			a.insts = append(a.insts, in)
		}
		entry = append(entry, closure(p, uint32(p.Start), base)...)
		base += uint32(len(p.Inst))
	}
	a.start = a.state(entry)
	return a
}

// closure lists the consuming and matching instructions reached from pc without consuming, shifted by base.
func closure(p *syntax.Prog, pc, base uint32) []uint32 {
	var out []uint32
	seen := map[uint32]bool{}
	todo := []uint32{pc}
	for len(todo) > 0 {
		pc := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		in := &p.Inst[pc]
		switch in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			todo = append(todo, in.Out)
		case syntax.InstFail, syntax.InstEmptyWidth:
			// The rules hold no assertions, so only a set without members fails.
		default:
			out = append(out, base+pc)
		}
	}
	return out
}

// state returns the one state for a set of instructions. Callers other than newAutomaton hold a.mu.
func (a *automaton) state(pcs []uint32) *state {
	if len(pcs) == 0 {
		return dead
	}
	slices.Sort(pcs)
	pcs = slices.Compact(pcs)
	key := make([]byte, 0, 3*len(pcs))
	for _, pc := range pcs {
		key = append(key, byte(pc), byte(pc>>8), byte(pc>>16))
	}
	if s := a.states[string(key)]; s != nil {
		return s
	}
	s := &state{pcs: pcs, accept: -1, next: make([]atomic.Pointer[state], maxClasses)}
	for _, pc := range pcs {
		if r := a.insts[pc].accept; r >= 0 && (s.accept < 0 || r < s.accept) {
			s.accept = r
		}
	}
	a.states[string(key)] = s
	return s
}

// step returns the state after one unit of class c.
func (a *automaton) step(s *state, c uint8) *state {
	if n := s.next[c].Load(); n != nil {
		return n
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var pcs []uint32
	for _, pc := range s.pcs {
		if in := &a.insts[pc]; in.set != nil && in.set.has(c) {
			pcs = append(pcs, in.next...)
		}
	}
	n := a.state(pcs)
	s.next[c].Store(n)
	return n
}

// match returns the winning rule at the start of text and the length of its head, or rule -1 when none matches.
func (l *lexer) match(text []uint16) (rule, head int) {
	rule = -1
	s := l.all.start
	for i, u := range text {
		if s = l.all.step(s, l.class[u]); s == dead {
			break
		}
		if s.accept >= 0 {
			rule, head = int(s.accept), i+1
		}
	}
	if rule >= 0 && l.heads[rule] != nil {
		head = l.split(rule, text[:head])
	}
	return rule, head
}

// split returns the length of the longest head of text that leaves a tail.
func (l *lexer) split(rule int, text []uint16) int {
	h, t := l.heads[rule], l.tails[rule]
	ends := make([]int, 0, 16)
	s := h.start
	for i := 0; i < len(text); i++ {
		if s = h.step(s, l.class[text[i]]); s == dead {
			break
		}
		if s.accept >= 0 {
			ends = append(ends, i+1)
		}
	}
	for i := len(ends) - 1; i >= 0; i-- {
		s := t.start
		for _, u := range text[ends[i]:] {
			if s = t.step(s, l.class[u]); s == dead {
				break
			}
		}
		if s.accept >= 0 {
			return ends[i]
		}
	}
	return len(text)
}
