package console

import "errors"

// Mistakes are what is wrong with a command line. They are collected, so that a person hears of all of them at once.
type Mistakes []error

// Add adds those errors that are not nil.
func (m *Mistakes) Add(errs ...error) {
	for _, err := range errs {
		if err != nil {
			*m = append(*m, err)
		}
	}
}

// Check adds an error of usage unless ok. The other arguments are those of Usagef.
func (m *Mistakes) Check(ok bool, hint, format string, args ...any) {
	if !ok {
		m.Add(Usagef(hint, format, args...))
	}
}

// Err is all mistakes as one error, or nil.
func (m *Mistakes) Err() error { return errors.Join(*m...) }
