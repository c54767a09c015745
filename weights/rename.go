package weights

import "strings"

// Prefix returns a rename function for Rename that keeps the tensors below from and puts them below to:
// Prefix("state_dict.visual.", "") turns "state_dict.visual.conv1.weight" into "conv1.weight" and leaves the rest out.
func Prefix(from, to string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		rest, ok := strings.CutPrefix(name, from)
		return to + rest, ok
	}
}

// Patterns returns a rename function for Rename from pairs of patterns: Patterns("h.*.ln_1.*", "blocks.*.norm1.*").
// A star stands for one part between dots, and the stars of the second pattern take what those of the first matched, in
// order. The first pattern that matches a name decides; names that match none are left out. A second pattern that is
// empty leaves the tensor out.
func Patterns(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		parts := strings.Split(name, ".")
		for i := 0; i+1 < len(pairs); i += 2 {
			stars, ok := matchParts(strings.Split(pairs[i], "."), parts)
			if !ok {
				continue
			}
			if pairs[i+1] == "" {
				return "", false
			}
			return fillStars(pairs[i+1], stars), true
		}
		return "", false
	}
}

func matchParts(pattern, parts []string) (stars []string, ok bool) {
	if len(pattern) != len(parts) {
		return nil, false
	}
	for i, p := range pattern {
		switch {
		case p == "*":
			stars = append(stars, parts[i])
		case p != parts[i]:
			return nil, false
		}
	}
	return stars, true
}

// fillStars leaves a star as it is when the matched pattern had fewer stars.
func fillStars(pattern string, stars []string) string {
	out := strings.Split(pattern, ".")
	for i, p := range out {
		if p == "*" && len(stars) > 0 {
			out[i], stars = stars[0], stars[1:]
		}
	}
	return strings.Join(out, ".")
}
