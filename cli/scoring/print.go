package scoring

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"captioner/cli/console"
	"captioner/cli/output"
	"captioner/cli/report"
	"captioner/data/metrics"
	"captioner/models/clipscore"
	"captioner/models/evaluate"
	"captioner/weights/atomicfile"
)

// print writes the result: a table for people, or one object.
func (e *evaluation) print() error {
	if e.con.Options.JSON {
		return console.WriteJSON(e.con.Stdout, e.object())
	}
	_, err := io.WriteString(e.con.Stdout, e.table())
	return err
}

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := console.MarshalJSON(m.key)
		if err != nil {
			return nil, err
		}
		value, err := console.MarshalJSON(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(bytes.TrimSpace(key))
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// object is what --json prints: the measures by name, as fractions at full precision, then what they are of.
func (e *evaluation) object() object {
	var o, intervals, counts object
	for _, m := range e.measures {
		o = append(o, member{m.Name, m.Value})
		if m.Interval {
			intervals = append(intervals, member{m.Name, []float64{m.Low, m.High}})
		}
	}
	for _, f := range e.facts {
		o = append(o, member{f.Key, f.Value})
	}
	references := 0
	for _, p := range e.system.Pairs {
		references += len(p.Example.Captions)
	}
	o = append(o, member{"images", len(e.system.Pairs)}, member{"references", references})
	if len(intervals) > 0 {
		o = append(o, member{"intervals", intervals})
	}
	for _, f := range e.mismatches {
		counts = append(counts, member{f.Key, len(f.Names)})
	}
	o = append(o, member{"warnings", counts})
	if c := e.comparison; c != nil {
		var all object
		for _, d := range c.Differences {
			all = append(all, member{d.Name, object{{"value", d.B}, {"other", d.A}, {"difference", d.Delta},
				{"interval", []float64{d.Low, d.High}}, {"p", d.P}}})
		}
		o = append(o, member{"against", object{{"path", e.o.Against}, {"images", c.Images}, {"differences", all}}})
	}
	return append(o, member{"signature", e.signature()})
}

// table is the result for people.
func (e *evaluation) table() string {
	head := []string{"measure", "value", ""}
	if slices.ContainsFunc(e.measures, func(m evaluate.Measure) bool { return m.Interval }) {
		head[2] = "95 % interval"
	}
	if e.comparison != nil {
		head = append(head, "other", "difference", "95 % interval", "p")
	}
	rows := [][]string{head}
	for _, m := range e.measures {
		row := []string{m.Name, fmt.Sprintf("%.4f", m.Value), ""}
		if m.Interval {
			row[2] = fmt.Sprintf("%.4f to %.4f", m.Low, m.High)
		}
		if d := differenceOf(e, m.Name); d != nil {
			row = append(row, fmt.Sprintf("%.4f", d.A), fmt.Sprintf("%+.4f", d.Delta),
				fmt.Sprintf("%+.4f to %+.4f", d.Low, d.High), fmt.Sprintf("%.3f", d.P))
		}
		rows = append(rows, row)
	}
	var s strings.Builder
	if len(e.measures) > 0 {
		s.WriteString(aligned(rows) + "\n")
	}
	if len(e.facts) > 0 {
		rows = nil
		for _, f := range e.facts {
			rows = append(rows, []string{f.Name, factText(f)})
		}
		s.WriteString(aligned(rows) + "\n")
	}
	fmt.Fprintf(&s, "%s\n", e.signature())
	return s.String()
}

func differenceOf(e *evaluation, name string) *metrics.Difference {
	if e.comparison == nil {
		return nil
	}
	for i, d := range e.comparison.Differences {
		if d.Name == name {
			return &e.comparison.Differences[i]
		}
	}
	return nil
}

func factText(f evaluate.Fact) string {
	switch f.Key {
	case "vocabulary":
		return fmt.Sprintf("%.0f", f.Value)
	case "mean-length":
		return fmt.Sprintf("%.2f", f.Value)
	}
	return fmt.Sprintf("%.4f", f.Value)
}

// aligned puts columns below each other, the first one to the left and the others to the right.
func aligned(rows [][]string) string {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var s strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line = cell + space
			} else {
				line += "  " + space + cell
			}
		}
		s.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return s.String()
}

// signature says what numbers must share to be compared, as sacreBLEU's does: the data and a checksum of the references
// that were used, how they were split into words, how the captions came about, and the versions.
func (e *evaluation) signature() string {
	split := filepath.Base(e.scorer.Set.Path)
	if e.scorer.Set.Split != "" {
		split += "#" + e.scorer.Set.Split
	}
	h := sha256.New()
	least, most := len(e.system.Pairs[0].Example.Captions), 0
	for _, p := range e.system.Pairs {
		fmt.Fprintf(h, "%q%q\n", p.Example.ID, p.Example.Captions)
		least, most = min(least, len(p.Example.Captions)), max(most, len(p.Example.Captions))
	}
	refs := fmt.Sprint(least)
	if most > least {
		refs += fmt.Sprintf("-%d", most)
	}
	fields := []string{"split:" + split, fmt.Sprintf("sha256:%.8x", h.Sum(nil)),
		fmt.Sprintf("images:%d", len(e.system.Pairs)), "refs:" + refs, "case:lower", "tok:ptb-" + e.o.Tokenize}
	if c := e.captioned; c != nil {
		fields = append(fields, fmt.Sprintf("model:%s@%.8s", filepath.Base(c.model), c.checksum),
			"decode:"+decoding(c.options))
	} else {
		fields = append(fields, "decode:given")
	}
	fields = append(fields, "eos:unscored")
	if e.o.DF != "" {
		fields = append(fields, "df:"+filepath.Base(e.o.DF))
	} else {
		fields = append(fields, "df:references")
	}
	if e.o.Missing != "skip" {
		fields = append(fields, "missing:"+e.o.Missing)
	}
	if e.system.Each.METEOR != nil {
		fields = append(fields, "meteor:1.5-en")
	}
	if e.scorer.CLIP != nil {
		fields = append(fields, fmt.Sprintf("clip:%s@%.8s-w2.5-prompt:%s", e.scorer.CLIP.Name, e.scorer.CLIP.Model.SHA256,
			strings.TrimSpace(clipscore.Prompt)))
	}
	for _, m := range e.measures {
		switch m.Name {
		case "BLEU-GPT2":
			fields = append(fields, fmt.Sprintf("bleu-gpt2:mixed-sample%d-seed%d-shortest",
				evaluate.SampleGPT2, evaluate.OriginalSeed))
		case "BLEU-HF":
			fields = append(fields, fmt.Sprintf("bleu-hf:13a-mixed-sample%d-seed%d-shortest",
				evaluate.SampleHF, evaluate.OriginalSeed))
		}
	}
	if e.o.Resamples > 0 {
		fields = append(fields, fmt.Sprintf("bootstrap:%d-seed%d", e.o.Resamples, e.o.Seed))
	}
	version := "version:captioner-" + console.Version
	if at := console.Commit(); at != "" {
		version += "-" + at
	}
	fields = append(fields, version)
	for i, f := range fields { // file names may hold anything
		fields[i] = strings.NewReplacer("|", "_", " ", "_").Replace(console.Visible(f))
	}
	return strings.Join(fields, "|")
}

// write writes the files that were asked for.
func (e *evaluation) write() error {
	if e.o.SaveDF != "" {
		_, refs := evaluate.CaptionsOf(e.system.Pairs)
		d, err := metrics.CountDocumentFrequencies(refs)
		if err != nil {
			return err
		}
		if err := atomicfile.WriteFile(e.o.SaveDF, d.Write); err != nil {
			return err
		}
	}
	if e.o.Report == "" {
		return nil
	}
	err := atomicfile.WriteFile(e.o.Report, func(w io.Writer) error { return report.Write(w, e.page()) })
	if err == nil {
		e.con.Term.Log.Info("report → " + console.Visible(e.o.Report))
	}
	return err
}

// page is what the report shows.
func (e *evaluation) page() report.Page {
	p := report.Page{Title: e.o.Title, Signature: e.signature(), Warnings: e.mismatches.Lines(),
		Names: []string{"CIDEr", "ROUGE-L", "BLEU-4"}, Shown: e.o.ReportPictures}
	if p.Title == "" {
		p.Title = "Captions of " + filepath.Base(e.predictions.File) + " on " + filepath.Base(e.scorer.Set.Path)
	}
	if e.system.Each.METEOR != nil {
		p.Names = append(p.Names, "METEOR")
	}
	if e.scorer.CLIP != nil {
		p.Names = append(p.Names, e.system.Each.Others[0].Name)
	}
	if e.comparison != nil {
		p.Other = filepath.Base(e.o.Against)
	}
	for _, m := range e.mismatches {
		if m.Key == "failed" {
			p.Failed = len(m.Names)
		}
	}
	for _, m := range e.measures {
		one := report.Measure{Name: m.Name, Value: m.Value, Low: m.Low, High: m.High}
		if d := differenceOf(e, m.Name); d != nil {
			one.Compared, one.Other, one.Delta, one.DeltaLow, one.DeltaHigh, one.P = true, d.A, d.Delta, d.Low, d.High, d.P
		}
		p.Measures = append(p.Measures, one)
	}
	for _, f := range e.facts {
		p.Facts = append(p.Facts, report.Fact{Name: f.Name, Value: factText(f)})
	}
	for i, pair := range e.system.Pairs {
		x := pair.Example
		it := report.Item{ID: x.ID, Caption: pair.Caption, References: x.Captions, Words: e.system.Corpus.Tokens(i),
			Reference: metrics.TokenizeAll(x.Captions),
			Scores:    []float64{e.system.Each.CIDEr[i], e.system.Each.ROUGEL[i], e.system.Each.BLEU[i][3]}}
		if e.system.Each.METEOR != nil {
			it.Scores = append(it.Scores, e.system.Each.METEOR[i].Score())
		}
		if e.scorer.CLIP != nil {
			it.Scores = append(it.Scores, e.system.Each.Others[0].Values[i])
		}
		if e.comparison != nil {
			it.Other = e.comparison.Other[pair.Index]
		}
		if x.Path != "" {
			it.Picture, it.Name = x.Bytes, path.Base(filepath.ToSlash(x.Path))
		}
		if x.Path != "" && x.Archive == "" {
			it.Link = output.PageLink(e.o.Report, x.Path)
		}
		p.Items = append(p.Items, it)
	}
	return p
}
