package console

// Finding is one line of the doctor's report.
type Finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // "ok", "note" (works, but could do better) or "broken"
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

// Tell prints a finding on standard output: a line for people, or with --json an object.
func Tell(con *Console, f Finding) error {
	if con.Options.JSON {
		return WriteJSON(con.Stdout, f)
	}
	if err := con.Printf("%-8s%-12s%s\n", f.Status, f.Check, f.Found); err != nil || f.Remedy == "" {
		return err
	}
	return con.Printf("%-20sremedy: %s\n", "", f.Remedy)
}
