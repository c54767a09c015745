package store_test

import (
	"fmt"
	"os"
	"path/filepath"

	"captioner/weights/store"
)

// Path finds what is here, and says how to get what is not. Get and Fetch fetch it.
func Example() {
	o, err := store.FromEnvironment(os.Getenv)
	if err != nil {
		fmt.Println(err)
		return
	}
	o.Cache, o.Others = filepath.Join(os.TempDir(), "no-such-cache"), nil
	s, err := store.New(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = s.Path("ViT-B/32")
	fmt.Println(err != nil)
	e, err := store.Find("clip:ViT-B/32")
	fmt.Println(e.Name, e.Licence, e.Checksum(), err)
	// Output:
	// true
	// openai:ViT-B/32 MIT published <nil>
}
