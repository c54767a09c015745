package checkpoint

import "fmt"

// NoRunError says that a folder holds no run that could go on.
type NoRunError struct{ Dir string }

func (e *NoRunError) Error() string { return fmt.Sprintf("resume %q: %v", e.Dir, e.why()) }

// About returns the folder, and what is wrong with it.
func (e *NoRunError) About() (string, error) { return e.Dir, e.why() }

func (e *NoRunError) why() error {
	return fmt.Errorf("found no %s, want the folder of a run", RunOptionsFile)
}

// Hint says what makes such a folder.
func (*NoRunError) Hint() string {
	return "--resume takes the folder that --out named when the run began"
}

// RunThereError says that a new run would begin in the folder of another one.
type RunThereError struct{ Dir string }

func (e *RunThereError) Error() string { return fmt.Sprintf("train in %q: %v", e.Dir, e.why()) }

// About returns the folder, and what is in the way.
func (e *RunThereError) About() (string, error) { return e.Dir, e.why() }

func (*RunThereError) why() error { return fmt.Errorf("found a run there, want a new folder") }

// Hint says how to keep that run.
func (e *RunThereError) Hint() string {
	return fmt.Sprintf("captioner train --resume %s goes on with it; --out with another name begins a new one", e.Dir)
}
