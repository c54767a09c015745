package data_test

import (
	"fmt"
	"path/filepath"

	"captioner/data"
)

func ExampleOpen() {
	set, err := data.Open("testdata/tiny/captions.json", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Kind)
	for e, err := range set.Source {
		if err != nil {
			fmt.Println(err)
			return
		}
		picture, err := e.Bytes()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.ID, filepath.ToSlash(e.Path), len(picture), e.Captions)
	}
	// Output:
	// COCO captions
	// 1 testdata/tiny/images/red.png 74 [A red square. Nothing but red.]
	// 2 testdata/tiny/images/blue.png 74 [A blue square.]
}

func ExampleCheck() {
	set, err := data.Open("testdata/tiny/captions.csv", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := data.Check(set.Source, nil)
	fmt.Println(r.Train.Examples, r.Train.Captions, r.EmptyCaptions, len(r.MissingImages))
	// Output:
	// 3 4 [train green.png] 1
}
