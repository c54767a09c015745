package optim

import (
	"fmt"
	"math"
)

// Schedule gives the learning rate of a step, counted from 0, as a share of the highest.
type Schedule struct {
	Kind   string  // "constant", "linear" or "cosine"
	Warmup int     // steps of linear rise from 1/Warmup to 1
	Total  int     // steps in all
	Floor  float64 // share that linear and cosine end at
}

// Validate says what is wrong with s.
func (s Schedule) Validate() error {
	switch s.Kind {
	case "constant", "linear", "cosine":
	default:
		return fmt.Errorf("schedule: found %q, want constant, linear or cosine", s.Kind)
	}
	if s.Warmup < 0 || s.Floor < 0 || s.Floor > 1 {
		return fmt.Errorf("schedule: found warm-up %d and floor %g, want 0 or more steps and a share of 0 to 1",
			s.Warmup, s.Floor)
	}
	return nil
}

// At is the share at step.
func (s Schedule) At(step int) float64 {
	rise := 1.0
	if s.Warmup > 0 {
		rise = math.Min(1, float64(step+1)/float64(s.Warmup))
	}
	done := 0.0
	if s.Total > 0 {
		done = math.Min(1, float64(step)/float64(s.Total))
	}
	switch s.Kind {
	case "linear":
		return rise * (s.Floor + (1-s.Floor)*(1-done))
	case "cosine":
		return rise * (s.Floor + (1-s.Floor)*.5*(1+math.Cos(math.Pi*done)))
	}
	return rise
}
