package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
)

// The size of a histogram in the units of its drawing; on the page it is as wide as its box.
const (
	chartWidth, chartHeight = 360, 190
	plotLeft, plotBottom    = 34, 150
	plotTop                 = 12
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
	const row, left, right = 16.4, 92.0, 44.0
	height := row*float64(len(words)) + 6
	var s strings.Builder
	s.WriteString(legend("The words that candidates use most", "% of all words", "candidates", "references"))
	fmt.Fprintf(&s, `<svg viewBox="0 0 %d %g" role="img" aria-label="the most frequent words">`, chartWidth, height)
	for i, w := range words {
		y := row*float64(i) + 4
		a, b := ours[w]/max(n, 1), theirs[w]/max(m, 1)
		scale := (chartWidth - left - right) / max(most, 1e-9)
		shown := w
		if r := []rune(w); len(r) > 12 {
			shown = string(r[:11]) + "…"
		}
		fmt.Fprintf(&s, `<g><title>%s: %.2f %% of the candidates' words, %.2f %% of the references'</title>`,
			html.EscapeString(w), 100*a, 100*b)
		fmt.Fprintf(&s, `<text x="%g" y="%g" text-anchor="end">%s</text>`, left-6, y+9.5, html.EscapeString(shown))
		fmt.Fprintf(&s, `<rect class="ours" x="%g" y="%g" width="%.1f" height="6"/>`, left, y, a*scale)
		fmt.Fprintf(&s, `<rect class="theirs" x="%g" y="%g" width="%.1f" height="6"/>`, left, y+6.5, b*scale)
		fmt.Fprintf(&s, `<text x="%.1f" y="%g">%.1f</text></g>`, left+max(a, b)*scale+4, y+9.5, 100*a)
	}
	s.WriteString("</svg>")
	return template.HTML(s.String())
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
	var s strings.Builder
	var names []string
	for _, one := range c.series {
		names = append(names, one.name)
	}
	s.WriteString(legend(c.title, c.unit, names...))
	fmt.Fprintf(&s, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, plotBottom+20,
		html.EscapeString(c.title))
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&s, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			plotLeft, chartWidth, y(v), y(v), plotLeft-5, y(v)+3.5, trimNumber(v))
	}
	slot := float64(chartWidth-plotLeft) / float64(len(c.labels))
	width := slot * 0.86 / float64(len(c.series))
	every := (len(c.labels)*28 + chartWidth - plotLeft - 1) / (chartWidth - plotLeft)
	for i, label := range c.labels {
		x := plotLeft + slot*float64(i)
		tip := c.tips[i]
		for _, one := range c.series {
			tip += fmt.Sprintf(", %s: %s", one.name, trimNumber(math.Round(100*one.values[i])/100))
			if c.percent {
				tip += " %"
			}
		}
		fmt.Fprintf(&s, `<g><title>%s</title><rect class="hit" x="%.1f" y="%d" width="%.1f" height="%d"/>`,
			html.EscapeString(tip), x, plotTop, slot, plotBottom-plotTop)
		for k, one := range c.series {
			if v := one.values[i]; v > 0 {
				fmt.Fprintf(&s, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, one.class,
					x+slot*0.07+width*float64(k), y(v), width, plotBottom-y(v))
			}
		}
		s.WriteString("</g>")
		if i%every == 0 {
			at, anchor := x+slot/2, "middle"
			if c.edges {
				at = x + slot*0.07
			}
			fmt.Fprintf(&s, `<text x="%.1f" y="%d" text-anchor="%s">%s</text>`, at, plotBottom+14, anchor, label)
		}
	}
	s.WriteString("</svg>")
	return template.HTML(s.String())
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
