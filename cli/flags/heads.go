package flags

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
)

// Heads says how many attention heads parts of a captioner have whose files do not say it: "6", "encoder=6,decoder=8".
type Heads string

// Flag is the flag that sets h.
func (h *Heads) Flag(category string) cli.Flag {
	return &cli.StringFlag{Name: "heads",
		Usage: "attention heads of an encoder or decoder whose file does not say them: `N`, or by part, as in " +
			"encoder=6,decoder=8", Category: category, Destination: (*string)(h)}
}

// Parse reads the numbers.
func (h Heads) Parse() (*encoder.Heads, error) {
	out := &encoder.Heads{Of: map[encoder.Part]int64{}}
	if h == "" {
		return out, nil
	}
	var names []string
	for _, p := range encoder.Parts {
		names = append(names, string(p))
	}
	for _, item := range strings.Split(string(h), ",") {
		name, number, named := strings.Cut(strings.TrimSpace(item), "=")
		if !named {
			name, number = "", name
		}
		n, err := strconv.ParseInt(number, 10, 32)
		part := encoder.Part(name)
		switch {
		case named && !slices.Contains(encoder.Parts, part):
			return nil, console.Usagef("", "--heads %s: found the part %q, want %s", h, name, strings.Join(names, ", "))
		case err != nil || n < 1:
			return nil, console.Usagef("", "--heads %s: found %q, want a number from 1 on, as in 6 or encoder=6", h, number)
		case out.Of[part] != 0 || !named && out.Any != 0:
			return nil, console.Usagef("", "--heads %s: found two numbers for one part", h)
		case named:
			out.Of[part] = n
		default:
			out.Any = n
		}
	}
	if out.Any != 0 && len(out.Of) > 0 {
		return nil, console.Usagef(fmt.Sprintf("--heads encoder=%d names the part", out.Any),
			"--heads %s: found a number without a part beside one with", h)
	}
	return out, nil
}

// Architectures is what this program knows, with the numbers that h says.
func (h Heads) Architectures() (*checkpoint.Architectures, error) {
	known := checkpoint.Known()
	var err error
	known.Heads, err = h.Parse()
	return &known, err
}
