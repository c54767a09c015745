package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
)

// A chart is as wide as its box, and its labels have one size on every width: what stands at the left is a drawing of a
// fixed width, and the places in the other one are shares of its width. Heights are in pixels.
const (
	axisWidth           = 40
	plotTop, plotBottom = 12, 180
	plotHeight          = plotBottom + 22
	labelsMost          = 7 // below the bars: as many as a telephone has room for
)

// histograms draws how scores, lengths and words are distributed.
func histograms(p Page) []template.HTML {
	if len(p.Items) == 0 {
		return nil
	}
	var charts []template.HTML
	for i, name := range p.Names {
		if i < 2 {
			charts = append(charts, scoreChart(name, p.Items, i))
		}
	}
	return append(charts, lengthChart(p.Items), wordChart(p.Items))
}

// scoreChart shows how many captions have which score, in twenty steps from zero.
func scoreChart(name string, items []Item, at int) template.HTML {
	const steps = 20
	most := 0.0
	for _, it := range items {
		most = max(most, it.Scores[at])
	}
	step := niceStep(most / steps)
	counts := make([]float64, min(steps, int(most/step)+1))
	for _, it := range items {
		counts[min(len(counts)-1, max(0, int(it.Scores[at]/step)))]++
	}
	c := chart{title: name + " of each caption", unit: "captions"}
	c.series = []series{{name: "captions", class: "ours", values: counts}}
	for i := range counts {
		c.labels = append(c.labels, trimNumber(float64(i)*step))
		c.tips = append(c.tips, fmt.Sprintf("%s to %s", trimNumber(float64(i)*step), trimNumber(float64(i+1)*step)))
	}
	c.edges = true
	return c.draw()
}

// lengthChart compares how long captions and references are.
func lengthChart(items []Item) template.HTML {
	var ours, theirs []float64
	count := func(counts *[]float64, n int) {
		n = min(n, 40)
		for len(*counts) <= n {
			*counts = append(*counts, 0)
		}
		(*counts)[n]++
	}
	for _, it := range items {
		count(&ours, len(it.Words))
		for _, r := range it.Reference {
			count(&theirs, len(r))
		}
	}
	n := max(len(ours), len(theirs))
	c := chart{title: "Words of a caption", unit: "% of captions", percent: true}
	c.series = []series{{name: "candidates", class: "ours", values: shares(ours, n)},
		{name: "references", class: "theirs", values: shares(theirs, n)}}
	for i := range n {
		label := fmt.Sprint(i)
		if i == 40 {
			label = "40+"
		}
		c.labels, c.tips = append(c.labels, label), append(c.tips, label+" words")
	}
	c.from() // nobody writes captions of one word
	return c.draw()
}

func shares(counts []float64, n int) []float64 {
	total := 0.0
	for _, x := range counts {
		total += x
	}
	out := make([]float64, n)
	for i, x := range counts {
		out[i] = 100 * x / max(total, 1)
	}
	return out
}

// wordsShown is how many words are compared.
const wordsShown = 10

// wordChart compares how often candidates and references use the words that candidates use most.
func wordChart(items []Item) template.HTML {
	ours, theirs := map[string]float64{}, map[string]float64{}
	var n, m float64
	for _, it := range items {
		for _, w := range it.Words {
			ours[w]++
			n++
		}
		for _, r := range it.Reference {
			for _, w := range r {
				theirs[w]++
				m++
			}
		}
	}
	var words []string
	for w := range ours {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b string) int {
		if ours[a] != ours[b] {
			return int(ours[b] - ours[a])
		}
		return strings.Compare(a, b)
	})
	words = words[:min(len(words), wordsShown)]
	most := 0.0
	for _, w := range words {
		most = max(most, ours[w]/max(n, 1), theirs[w]/max(m, 1))
	}
	const row, wordsWidth, widest = 22.0, 100, 82.0 // the widest bar leaves room for its number
	height := row * float64(len(words))
	var left, right strings.Builder
	for i, w := range words {
		y := row * float64(i)
		a, b := ours[w]/max(n, 1), theirs[w]/max(m, 1)
		scale := widest / max(most, 1e-9)
		shown := w
		if r := []rune(w); len(r) > 12 {
			shown = string(r[:11]) + "…"
		}
		fmt.Fprintf(&left, `<text x="%d" y="%g" text-anchor="end">%s</text>`, wordsWidth-8, y+14, html.EscapeString(shown))
		fmt.Fprintf(&right, `<g><title>%s: %.1f %% of candidates, %.1f %% of references</title>`+
			`<rect class="hit" width="100%%" y="%g" height="%g"/>`, html.EscapeString(w), 100*a, 100*b, y, row)
		fmt.Fprintf(&right, `<rect class="ours" width="%.2f%%" y="%g" height="8"/>`, a*scale, y+2)
		fmt.Fprintf(&right, `<rect class="theirs" width="%.2f%%" y="%g" height="8"/>`, b*scale, y+10.5)
		fmt.Fprintf(&right, `<text x="%.2f%%" dx="5" y="%g">%.1f</text></g>`, max(a, b)*scale, y+14, 100*a)
	}
	title := legend("The words that candidates use most", "% of all words", "candidates", "references")
	return template.HTML(title + plot("the most frequent words", wordsWidth, height, left.String(), right.String()))
}

// plot puts a drawing of a fixed width beside one that takes the rest.
func plot(label string, width int, height float64, left, right string) string {
	return fmt.Sprintf(`<div class="plot" role="img" aria-label="%s">`+
		`<svg width="%d" height="%g" aria-hidden="true">%s</svg>`+
		`<svg width="100%%" height="%[3]g" aria-hidden="true">%[5]s</svg></div>`,
		html.EscapeString(label), width, height, left, right)
}

// chart is a histogram of one or two series of bars that stand side by side.
type chart struct {
	title, unit string
	labels      []string // below the bars, as many as there is room for
	tips        []string // what a bar is, for who points at it
	series      []series
	edges       bool // labels stand at the left edges of the bars
	percent     bool
}

type series struct {
	name, class string
	values      []float64
}

// from cuts off what is empty on the left.
func (c *chart) from() {
	empty := func() bool {
		for _, s := range c.series {
			if s.values[0] > 0 {
				return false
			}
		}
		return true
	}
	for len(c.labels) > 1 && empty() {
		c.labels, c.tips = c.labels[1:], c.tips[1:]
		for i := range c.series {
			c.series[i].values = c.series[i].values[1:]
		}
	}
}

func (c *chart) draw() template.HTML {
	most := 0.0
	for _, s := range c.series {
		most = max(most, slices.Max(s.values))
	}
	step := niceStep(most / 4)
	if !c.percent {
		step = max(step, 1)
	}
	top := step * math.Ceil(max(most, step)/step)
	y := func(v float64) float64 { return plotBottom - (plotBottom-plotTop)*v/top }
	var names []string
	for _, one := range c.series {
		names = append(names, one.name)
	}
	var left, right strings.Builder
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&left, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, axisWidth-6, y(v)+4, trimNumber(v))
		fmt.Fprintf(&right, `<line x1="0" x2="100%%" y1="%s" y2="%[1]s"/>`, fmt.Sprintf("%.1f", y(v)))
	}
	c.bars(&right, y)
	return template.HTML(legend(c.title, c.unit, names...) +
		plot(c.title, axisWidth, plotHeight, left.String(), right.String()))
}

// bars draws the bars with their labels; y is the height of a value.
func (c *chart) bars(s *strings.Builder, y func(float64) float64) {
	slot := 100 / float64(len(c.labels)) // per cent of the width
	width := slot * 0.86 / float64(len(c.series))
	every := (len(c.labels) + labelsMost - 1) / labelsMost
	for i, label := range c.labels {
		x := slot * float64(i)
		tip := c.tips[i]
		for _, one := range c.series {
			tip += fmt.Sprintf(", %s: %s", one.name, trimNumber(math.Round(100*one.values[i])/100))
			if c.percent {
				tip += " %"
			}
		}
		fmt.Fprintf(s, `<g><title>%s</title><rect class="hit" x="%.2f%%" y="%d" width="%.2f%%" height="%d"/>`,
			html.EscapeString(tip), x, plotTop, slot, plotBottom-plotTop)
		for k, one := range c.series {
			if v := one.values[i]; v > 0 {
				fmt.Fprintf(s, `<rect class="%s" x="%.2f%%" y="%.1f" width="%.2f%%" height="%.1f"/>`, one.class,
					x+slot*0.07+width*float64(k), y(v), width, plotBottom-y(v))
			}
		}
		s.WriteString("</g>")
		if i%every == 0 {
			at, anchor := x+slot/2, "middle"
			if c.edges {
				at, anchor = x+slot*0.07, "start"
			}
			fmt.Fprintf(s, `<text x="%.2f%%" y="%d" text-anchor="%s">%s</text>`, at, plotBottom+16, anchor, label)
		}
	}
}

// legend is the heading of a chart; names are explained where there are two.
func legend(title, unit string, names ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, `<figcaption><b>%s</b> <span>%s</span>`, html.EscapeString(title), html.EscapeString(unit))
	if len(names) == 2 {
		fmt.Fprintf(&s, ` <span class="key ours">%s</span> <span class="key theirs">%s</span>`, names[0], names[1])
	}
	s.WriteString("</figcaption>")
	return s.String()
}

// niceStep is the next of 1, 2, 5, 10… (and 0.1, 0.2…) that is not below x.
func niceStep(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*unit >= x*(1-1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

// trimNumber writes a number with the few decimals that it needs.
func trimNumber(x float64) string {
	s := fmt.Sprintf("%.4f", x)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}
