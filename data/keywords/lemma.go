package keywords

import (
	"slices"
	"strings"
)

// Lemma is the dictionary form of an English word in lower case: the singular of a noun, the infinitive of a verb. It
// knows no parts of speech: a form that is mostly a noun in captions stays one ("building", "painting").
func Lemma(w string) string {
	if strings.ContainsFunc(w, func(r rune) bool { return r > 127 }) {
		return w
	}
	if i := strings.LastIndexByte(w, '-'); i >= 0 {
		return w[:i+1] + Lemma(w[i+1:])
	}
	if l, ok := irregular[w]; ok {
		return l
	}
	if fixed[w] {
		return w
	}
	switch {
	case len(w) > 4 && strings.HasSuffix(w, "ing"):
		return verb(w, "ing")
	case len(w) > 4 && strings.HasSuffix(w, "ied"):
		return w[:len(w)-3] + "y"
	case len(w) > 3 && strings.HasSuffix(w, "ed") && !strings.HasSuffix(w, "eed"):
		return verb(w, "ed")
	case len(w) > 3 && strings.HasSuffix(w, "s"):
		return singular(w)
	}
	return w
}

// singular takes the s of a plural, or of a verb's third person, away.
func singular(w string) string {
	stem := w[:len(w)-1]
	switch {
	case hasSuffix(w, "ss", "us", "is"):
		return w
	case hasSuffix(w, "ies") && len(w) > 4:
		return w[:len(w)-3] + "y"
	case hasSuffix(w, "sses", "shes", "ches", "xes", "zzes", "oes"):
		return w[:len(w)-2]
	}
	return stem
}

func hasSuffix(w string, all ...string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.HasSuffix(w, s) })
}

// verb takes an ending away, and mends the spelling of what is left: running, riding, jumping.
func verb(w, ending string) string {
	stem := strings.TrimSuffix(w, ending)
	if !strings.ContainsAny(stem, "aeiouy") {
		return w // string, spring, shed
	}
	n := len(stem)
	last, before := stem[n-1], byte(0)
	if n > 1 {
		before = stem[n-2]
	}
	switch {
	case last == before && !vowel(last):
		if strings.IndexByte("lsfz", last) >= 0 && syllables(stem) == 1 {
			return stem // pull, pass, stuff, buzz
		}
		return stem[:n-1] // run, sit, travel
	case last == 'v', last == 'c', last == 'u' && n > 2,
		last == 'g' && strings.IndexByte("rd", before) >= 0, last == 'z' && vowel(before),
		last == 's' && (vowel(before) || before == 'r' || before == 'w'), last == 'l' &&
			strings.IndexByte("bcdfgkptz", before) >= 0,
		hasSuffix(stem, "stl"), hasSuffix(stem, "breath", "bath", "cloth"):
		return stem + "e"
	case last == 'y', last == 'w', last == 'x', vowel(last):
		return stem
	case !vowel(before) && before != 'y' || n > 2 && vowel(before) && vowel(stem[n-3]):
		return stem // jump, look; a vowel of two letters
	case syllables(stem) == 1:
		return stem + "e" // ride, for the end of rid would be doubled
	case hasSuffix(stem, longEndings...):
		return stem + "e" // decorate, capture
	}
	return stem // open, wander, visit, gallop
}

// longEndings are the ends of verbs of several syllables that have an e behind them.
var longEndings = strings.Fields(`at ut tur iz ag ak ik ok id ud par plor stor
ignor mbin mir vit plet pet ap uc`)

func vowel(c byte) bool { return strings.IndexByte("aeiou", c) >= 0 }

// syllables counts the runs of vowels.
func syllables(s string) (n int) {
	in := false
	for i := range len(s) {
		v := vowel(s[i]) || s[i] == 'y' && i > 0
		if v && !in {
			n++
		}
		in = v
	}
	return n
}

// irregular are forms that no rule makes.
var irregular = pairs(`men man women woman children child feet foot teeth tooth mice mouse geese goose oxen ox firemen
fireman policemen policeman fishermen fisherman snowmen snowman businessmen businessman cowboys cowboy gentlemen
gentleman workmen workman salesmen salesman horsemen horseman craftsmen craftsman leaves leaf knives knife wives wife
lives life wolves wolf shelves shelf calves calf halves half loaves loaf scarves scarf hooves hoof thieves thief skis
ski buses bus gases gas lenses lens canvases canvas octopuses octopus walruses walrus cactuses cactus campuses campus
viruses virus circuses circus choruses chorus cacti cactus movies movie cookies cookie pies pie ties tie lies lie dies
die zombies zombie selfies selfie smoothies smoothie brownies brownie hoodies hoodie veggies veggie birdies birdie
rookies rookie collies collie prairies prairie calories calorie genies genie hippies hippie aunties auntie shoes shoe
toes toe canoes canoe hoes hoe oboes oboe horseshoes horseshoe tiptoes tiptoe axes axe aches ache caches cache
headaches headache mustaches mustache moustaches moustache pastiches pastiche quizzes quiz riding ride sitting sit
lying lie dying die tying tie seeing see skiing ski freeing free fleeing flee agreeing agree hanging hang bringing
bring singing sing ringing ring swinging swing clinging cling flinging fling slinging sling stringing string winging
wing springing spring longing long belonging belong changing change ranging range lounging lounge plunging plunge
arranging arrange exchanging exchange hinging hinge challenging challenge orange orange changed change ranged range
lounged lounge arranged arrange plunged plunge ate eat eaten eat began begin begun begin bent bend bit bite bitten
bite blew blow blown blow bore bear bought buy broke break broken break brought bring built build caught catch came
come chose choose chosen choose drank drink drawn draw drew draw driven drive drove drive fallen fall fed feed flew
fly flown fly forgot forget froze freeze frozen freeze gave give given give gone go grew grow grown grow heard hear
held hold hid hide hidden hide hung hang kept keep knelt kneel knew know known know laid lay leapt leap led lead lit
light lost lose met meet ran run rode ride ridden ride rose rise risen rise sat sit sang sing sung sing saw saw seen
see sent send shaken shake shook shake shone shine shot shoot shown show slept sleep slid slide sold sell spent spend
spoke speak spoken speak sprang spring spun spin stood stand stolen steal struck strike stuck stick swam swim swum
swim swept sweep swung swing taught teach thought think threw throw thrown throw told tell took take tore tear torn
tear understood understand woke wake woken wake won win wore wear worn wear wound wind woven weave wove weave wrote
write written write tied tie died die lied lie untied untie skied ski eating eat being be goes go does do has have was
be were be is be are be am be had have guiding guide guided guide biding bide arguing argue queuing queue queueing
queue larger large largest large smaller small smallest small bigger big biggest big older old oldest old younger
young youngest young taller tall tallest tall longer long longest long shorter short better good best good used use
using use dyed dye dyeing dye shoed shoe horseback-riding horseback-ride typing type typed type including include
included include focusing focus focused focus panicking panic mimicking mimic picnicking picnic gazing gaze aged age
aging age piled pile piling pile tiled tile tiling tile smiling smile smiled smile filing file filed file hitting hit
batting bat fishing fish aiming aim healing heal kneeling kneel feeling feel peeling peel entering enter covering
cover covered cover preparing prepare prepared prepare sharing share shared share admiring admire admired admire
exploring explore completing complete competing compete competed compete pasted paste tasting taste tasted taste
wasting waste bathing bathe soothing soothe breathing breathe teething teethe handling handle paddling paddle juggling
juggle cycling cycle bicycling bicycle`)

// fixed are words that look like forms of others and are none, or are words of their own in captions.
var fixed = set(`building painting clothing wedding ceiling evening morning railing awning parking lightning sibling
duckling pudding icing string spring ring king wing swing thing something nothing anything everything sling sting
bring sing cling fling being during dining living earring herring shilling sterling viking gosling sapling wing-back
red bed shed sled need seed weed feed speed breed steed reed deed greed bleed indeed hundred sacred naked wicked aged
beloved rugged bobsled biped kindred infrared tweed freed shred ragged jagged bus gas glass grass dress cross class
brass mattress harness wilderness fitness tennis canvas lens news jeans pants shorts scissors sunglasses glasses
goggles clothes pajamas binoculars headphones stairs series species always perhaps christmas texas las gas overseas
swiss chess mess press boss moss loss less useless headless shirtless leggings tights overalls pliers tongs dominoes
molasses measles surroundings sports athletics gymnastics mathematics politics physics electronics ceramics graphics
yes its thus plus us this was has as is chaos asbestos cosmos thermos rhinoceros hippopotamus headquarters crossroads
barracks outdoors indoors upstairs downstairs upwards downwards forwards backwards afterwards towards sideways besides
hers ours theirs yours`)

func pairs(s string) map[string]string {
	m := make(map[string]string)
	words := strings.Fields(s)
	for i := 0; i+1 < len(words); i += 2 {
		m[words[i]] = words[i+1]
	}
	return m
}
