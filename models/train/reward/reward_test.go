package reward_test

import (
	"encoding/json"
	"os"
	"testing"

	"captioner/models/train/reward"
)

// BenchmarkReward scores a step's captions, 250 of 50 images, against all of Flickr8k's: what SCST computes while
// the device waits.
func BenchmarkReward(b *testing.B) {
	file, err := os.ReadFile("../../../../shared/data/flickr8k/captions_train.json")
	if err != nil {
		b.Skip("no Flickr8k: ", err)
	}
	var d struct {
		Annotations []struct {
			Image   int `json:"image_id"`
			Caption string
		}
	}
	if err := json.Unmarshal(file, &d); err != nil {
		b.Fatal(err)
	}
	var c [][]string
	at := map[int]int{}
	for _, a := range d.Annotations {
		if _, there := at[a.Image]; !there {
			at[a.Image] = len(c)
			c = append(c, nil)
		}
		c[at[a.Image]] = append(c[at[a.Image]], a.Caption)
	}
	for name, bleu := range map[string]float64{"CIDEr-D": 0, "with BLEU-4": .5} {
		b.Run(name, func(b *testing.B) {
			r, err := reward.New(c, bleu)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for i := range 50 {
					for k := range 5 {
						r.Score(i, c[i+50][k], true)
					}
				}
			}
		})
	}
}
