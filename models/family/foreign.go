package family

// A ForeignError says that a file, a folder or a repository is of a kind that belongs to a model but is none that
// captions, and what to take instead.
type ForeignError struct {
	Found  string // what it is
	Want   string
	Remedy string
}

func (e *ForeignError) Error() string { return "found " + e.Found + ", want " + e.Want }

// Hint says what to take, or how to make a model of it.
func (e *ForeignError) Hint() string { return e.Remedy }
