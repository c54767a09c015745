package dist

import "fmt"

// Error is a failure of the group.
type Error struct {
	Op   string // what this rank was doing: "all-reduce"
	Rank int    // who is to blame; -1 where that could not be found out
	Msg  string // "rank 1 (node7, process 4711) is silent since 12s: it died or the network is cut"
}

func (e *Error) Error() string { return fmt.Sprintf("%s with the other processes: %s", e.Op, e.Msg) }
