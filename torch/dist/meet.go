package dist

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// meet waits until every rank has written down who it is.
func (p *peers) meet() error {
	host, _ := os.Hostname()
	own := fmt.Sprintf("%s, process %d", host, os.Getpid())
	if err := p.store.Set("here/"+strconv.Itoa(p.place.Rank), own); err != nil {
		return fmt.Errorf("join the other processes: %w", err)
	}
	p.names = make([]string, p.place.Size)
	for end := time.Now().Add(p.timeout); ; time.Sleep(20 * time.Millisecond) {
		var missing []string
		for r := range p.names {
			name, ok, err := p.store.Get("here/" + strconv.Itoa(r))
			if err != nil {
				return fmt.Errorf("join the other processes: %w", err)
			}
			if p.names[r] = name; !ok {
				missing = append(missing, strconv.Itoa(r))
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if time.Now().After(end) {
			at := net.JoinHostPort(p.place.Addr, strconv.Itoa(p.place.Port))
			return fmt.Errorf("join the other processes at %s: %d of %d did not come within %v: rank %s",
				at, len(missing), p.place.Size, p.timeout, strings.Join(missing, ", "))
		}
	}
}
