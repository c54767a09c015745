package launch

import "testing"

func TestFirstNode(t *testing.T) {
	for list, want := range map[string]string{
		"n1":                    "n1",
		"n1,n2":                 "n1",
		"gpu[003-007,9],login1": "gpu003",
		"a[1,3]":                "a1",
		"r[1-2]n[05-08]":        "r1n05",
		"login1,gpu[1-2]":       "login1",
		"n[4-5]-ib":             "n4-ib",
		"":                      "",
	} {
		if got := firstNode(list); got != want {
			t.Errorf("firstNode(%q) = %q, want %q", list, got, want)
		}
	}
}
