package cli

// finding is one line of the doctor's report.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // "ok", "note" (works, but could do better) or "broken"
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

func tellFinding(p *console, f finding) error {
	if p.common.JSON {
		return writeJSON(p.stdout, f)
	}
	if err := p.printf("%-8s%-12s%s\n", f.Status, f.Check, f.Found); err != nil || f.Remedy == "" {
		return err
	}
	return p.printf("%-20sremedy: %s\n", "", f.Remedy)
}
