package cli

import (
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"captioner/weights/hub/hubtest"
)

// hubs are the stand-ins that scripts have started, by the address in HF_ENDPOINT.
var hubs sync.Map

// hubCommand is what scripts say to a stand-in of the Hugging Face hub:
//
//	hub start FOLDER           a repository of each folder ORG/NAME below it; sets HF_ENDPOINT
//	hub fault cdn:cut=100      for the next request, see hubtest.ParseFault
//	hub private|gated ORG/NAME
//	hub moved ORG/NAME NEW/NAME
//	hub token TOKEN            that may read everything
//	hub asked cdn 2            how many requests came there since the last time
func hubCommand(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		h := hubtest.New()
		ts.Defer(h.Close)
		_, err := h.PushAll(ts.MkAbs(args[1]))
		ts.Check(err)
		hubs.Store(h.URL, h)
		ts.Setenv("HF_ENDPOINT", h.URL)
		return
	}
	v, ok := hubs.Load(ts.Getenv("HF_ENDPOINT"))
	if !ok {
		ts.Fatalf("hub %s: no hub was started", args[0])
	}
	h := v.(*hubtest.Hub)
	switch args[0] {
	case "fault":
		place, fault, err := hubtest.ParseFault(args[1])
		ts.Check(err)
		h.Fault(place, fault)
	case "private":
		h.Restrict(args[1], hubtest.Access{Private: true})
	case "gated":
		h.Restrict(args[1], hubtest.Access{Gated: true})
	case "moved":
		h.Restrict(args[1], hubtest.Access{Moved: args[2]})
	case "token":
		h.Token(args[1], hubtest.Everything)
	case "push": // hub push ORG/NAME FOLDER
		_, err := h.PushFolder(args[1], ts.MkAbs(filepath.FromSlash(args[2])))
		ts.Check(err)
	case "asked":
		want, err := strconv.Atoi(args[2])
		ts.Check(err)
		asked := slices.DeleteFunc(h.Requests(), func(r hubtest.Request) bool { return string(r.Place) != args[1] })
		if len(asked) != want {
			ts.Fatalf("%s was asked %d times, want %d: %+v", args[1], len(asked), want, asked)
		}
	default:
		ts.Fatalf("hub %s: want start, fault, private, gated, moved, token, push or asked", args[0])
	}
}
