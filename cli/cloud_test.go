package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"captioner/cli/cloud/cloudtest"
)

var services sync.Map // by address

// s3Command is the command s3 of the scripts:
//
//	s3 start BUCKET...                     a service, which the variables then lead to
//	s3 put BUCKET KEY FILE                 an object
//	s3 get BUCKET KEY FILE                 its content into a file
//	s3 keys BUCKET                         the keys of all objects, on standard output
//	s3 break METHOD KEY TIMES STATUS CODE  answers requests with an error; TIMES 0 is always
//	s3 cut KEY TIMES BYTES                 breaks the connection behind so many bytes
//	s3 mend                                takes all faults away
func s3Command(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		s := cloudtest.New(args[1:]...)
		ts.Defer(s.Close)
		services.Store(s.URL, s)
		for name, value := range s.Environment() {
			ts.Setenv(name, value)
		}
		return
	}
	v, ok := services.Load(ts.Getenv("AWS_ENDPOINT_URL"))
	if !ok {
		ts.Fatalf("s3 %s: no service was started", args[0])
	}
	s := v.(*cloudtest.Server)
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		ts.Check(err)
		return n
	}
	switch args[0] {
	case "put":
		b, err := os.ReadFile(ts.MkAbs(filepath.FromSlash(args[3])))
		ts.Check(err)
		ts.Check(s.Put(args[1], args[2], b))
	case "get":
		b, err := s.Get(args[1], args[2])
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(filepath.FromSlash(args[3])), b, 0o666))
	case "keys":
		keys, err := s.Keys(args[1])
		ts.Check(err)
		for _, k := range keys {
			fmt.Fprintln(ts.Stdout(), k)
		}
	case "break":
		s.Break(cloudtest.Fault{Method: args[1], Key: args[2], Times: number(3), Status: number(4), Code: args[5]})
	case "cut":
		s.Break(cloudtest.Fault{Method: "GET", Key: args[1], Times: number(2), Cut: number(3)})
	case "mend":
		s.Mend()
	default:
		ts.Fatalf("s3 %s: want start, put, get, keys, break, cut or mend", args[0])
	}
}
