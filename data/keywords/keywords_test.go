package keywords_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"captioner/data/keywords"
)

func TestLemma(t *testing.T) {
	for line := range strings.SplitSeq(`dogs dog, men man, women woman, children child
horses horse, houses house, buses bus, dresses dress
benches bench, boxes box, leaves leaf, knives knife, puppies puppy, ponies pony, movies movie, shoes shoe
potatoes potato, tomatoes tomato, glasses glasses, tennis tennis, grass grass, bus bus, people people
sheep sheep, gloves glove, waves wave, olives olive, caves cave, dishes dish, watches watch, vases vase
roses rose, noses nose, bases base, pizzas pizza, skis ski, running run, riding ride, sitting sit
standing stand, playing play, eating eat, looking look, smiling smile, holding hold, dancing dance
jumping jump, surfing surf, skating skate, skateboarding skateboard, posing pose, swimming swim
kissing kiss, driving drive, crossing cross, chasing chase, racing race, pulling pull, paddling paddle
climbing climb, carving carve, serving serve, walking walk, talking talk, leaning lean, flying fly
carrying carry, throwing throw, catching catch, hitting hit, swinging swing, hanging hang, wearing wear
grazing graze, waiting wait, cutting cut, cooking cook, baking bake, opening open, covered cover
parked park, dressed dress, filled fill, stuffed stuff, ripped rip, fried fry, tied tie
decorated decorate, decorating decorate, striped stripe, crowded crowd, red red, building building
string string, bed bed, celebrating celebrate, performing perform, wandering wander, gathered gather
traveling travel, travelling travel, lying lie, skiing ski, freezing freeze, sneezing sneeze
raising raise, browsing browse, leaving leave, balancing balance, capturing capture, using use
boarding board, splashing splash, topped top, painted paint, colored color, served serve
t-shirts t-shirt, fluß fluß, striking strike, biting bite, hiking hike, biking bike, diving dive
shaking shake, reading read, loading load, cleaning clean, feeding feed, peeking peek, barking bark
snowboarding snowboard`, "\n") {
		for _, pair := range strings.Split(line, ", ") {
			in, want, _ := strings.Cut(pair, " ")
			if got := keywords.Lemma(in); got != want {
				t.Errorf("%s: got %s, want %s", in, got, want)
			}
		}
	}
}

func TestContent(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"Two brown dogs are running in the dog's yard.", []string{"brown", "dog", "run", "yard"}},
		{"a man's red t-shirt, and a woman", []string{"man", "red", "t-shirt", "woman"}},
		{"ein Hund läuft über die Wiese", []string{"ein", "hund", "läuft", "über", "die", "wiese"}},
		{"", nil},
		{"3 - 4 ' !", nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, keywords.Content(test.text)); diff != "" {
			t.Errorf("%q: %s", test.text, diff)
		}
	}
}

func TestRank(t *testing.T) {
	texts := []keywords.Text{
		{"a brown dog runs on grass", 0.5}, {"a dog is running on the beach", 0.25}, {"a cat runs", 0.25},
	}
	want := []keywords.Word{{"run", 1}, {"dog", 0.75}, {"brown", 0.5}, {"grass", 0.5}, {"beach", 0.25}}
	if diff := cmp.Diff(want, keywords.Rank(texts, 5)); diff != "" {
		t.Error(diff)
	}
	if got := keywords.Rank(nil, 3); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
