// Command hubstandin serves folders as the Hugging Face hub serves repositories, for programs that are tested with it:
// scripts/fixtures/hub.py runs the real huggingface_hub and captioner against it.
//
//	hubstandin -root FOLDER      a repository of each folder ORG/NAME below it
//
// It prints its address, then a line for each request (place, method, path, range), and ends with its standard input. A
// line on standard input orders a fault, such as "cdn:cut=1000".
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"captioner/weights/hub/hubtest"
)

func main() {
	root := flag.String("root", "", "`FOLDER` of the repositories")
	moved := flag.String("moved", "", "`OLD/NAME=NEW/NAME` of a repository that was renamed")
	flag.Parse()
	if err := run(*root, *moved); err != nil {
		fmt.Fprintln(os.Stderr, "hubstandin:", err)
		os.Exit(1)
	}
}

func run(root, moved string) error {
	h := hubtest.New()
	defer h.Close()
	if _, err := h.PushAll(root); err != nil {
		return err
	}
	if from, to, ok := strings.Cut(moved, "="); ok {
		h.Restrict(from, hubtest.Access{Moved: to})
	}
	fmt.Println(h.URL)
	done := make(chan struct{})
	go report(h, done)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		place, fault, err := hubtest.ParseFault(lines.Text())
		if err != nil {
			return err
		}
		h.Fault(place, fault)
	}
	close(done)
	return lines.Err()
}

// report prints the requests as they come.
func report(h *hubtest.Hub, done <-chan struct{}) {
	for {
		for _, r := range h.Requests() {
			fmt.Println(r.Place, r.Method, r.Path, r.Range)
		}
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
