package ptb

import (
	"fmt"
	"strings"
	"sync"
	"unicode"
)

// An action turns what a rule matched into a token.
type action uint8

const (
	asIs     action = iota
	drop            // no token
	endLine         // ends the caption
	word            // without soft hyphens
	amp             // &amp; as &
	opening         // quotation marks as ` and ``
	closing         // quotation marks as ' and ''
	noSpace         // blanks as no-break spaces
	parens          // ( and ) as -LRB- and -RRB-
	phone           // noSpace and parens
	dash            // always --
	dashes          // three or four hyphens as --
	dots            // always ...
	less            // always <
	greater         // always >
	lsb             // the bracket's name
	rsb             //
	lcb             //
	rcb             //
	currency        // ¢, £ and the signs for euro as cents, # and $
	fraction        // the common one-character fractions as 1/2
	keep2           // two units; the rest is read again
	keep3           // three units
	acronym         // with its full stop, which is then read again
	abbrev          // the same, also for one letter
	trim            // without the blanks at the end
)

// group makes one alternative of several patterns.
func group(patterns ...string) string { return "(?:" + strings.Join(patterns, "|") + ")" }

// bracket writes tables and further members as the inside of a bracket.
func bracket(more string, tables ...*unicode.RangeTable) string {
	var b strings.Builder
	b.WriteString(more)
	for _, t := range tables {
		for _, r := range t.R16 {
			for c := int(r.Lo); c <= int(r.Hi); c += int(r.Stride) {
				hi := c
				if r.Stride == 1 {
					hi = int(r.Hi)
				}
				fmt.Fprintf(&b, `\x{%x}-\x{%x}`, c, hi)
				c = max(c, hi)
			}
		}
	}
	return b.String()
}

// rules is the English Treebank lexer of CoreNLP 3.4.1 with its default options, made on first use.
var rules = sync.OnceValues(func() (*lexer, error) { return newLexer(allRules()) })

// allRules describes that lexer. What it treats as a word, a number or an abbreviation, and the order in which its
// rules win, is fixed by the jar that coco-caption runs; several of its choices are surprising and kept on purpose (a
// bracket is a token named -lrb- that the punctuation list does not catch, because the list is written in capitals).
func allRules() []rule {
	const (
		space   = `[ \t\x{a0}\x{2000}-\x{200a}\x{3000}]`
		newline = `(?:\r|\r?\n|[\x{2028}\x{2029}\x{b}\x{c}\x{85}])`
		any     = `[\x{0}-\x{10ffff}]`
		inner   = `[,;:\x{3001}]` // punctuation inside a sentence
		hyphen  = `[-_\x{58a}\x{2010}\x{2011}]`
		apos    = `(?:['\x{92}\x{2019}]|&apos;)`
		aposAny = `(?:['\x{92}\x{2019}\x{60}\x{91}\x{2018}\x{201b}]|&apos;)`
		// Characters that the lexer's author added to the letters: marks, modifiers and later scripts.
		moreLetters = `\x{ad}\x{237}-\x{24f}\x{2c2}-\x{2c5}\x{2d2}-\x{2df}\x{2e5}-\x{2ff}\x{300}-\x{36f}\x{370}-\x{37d}` +
			`\x{384}\x{385}\x{3cf}\x{3f6}\x{3fc}-\x{3ff}\x{483}-\x{487}\x{4cf}\x{4f6}-\x{4ff}\x{510}-\x{525}\x{55a}-\x{55f}` +
			`\x{591}-\x{5bd}\x{5bf}\x{5c1}\x{5c2}\x{5c4}\x{5c5}\x{5c7}\x{615}-\x{61a}\x{63b}-\x{63f}\x{64b}-\x{65e}\x{670}` +
			`\x{6d6}-\x{6ef}\x{6fa}-\x{6ff}\x{70f}\x{711}\x{730}-\x{74f}\x{750}-\x{77f}\x{7a6}-\x{7b1}\x{7ca}-\x{7f5}\x{7fa}` +
			`\x{900}-\x{903}\x{93c}\x{93e}-\x{94e}\x{951}-\x{955}\x{962}\x{963}\x{981}-\x{983}\x{9bc}-\x{9c4}\x{9c7}\x{9c8}` +
			`\x{9cb}-\x{9cd}\x{9d7}\x{9e2}\x{9e3}\x{a01}-\x{a03}\x{a3c}\x{a3e}-\x{a4f}\x{a81}-\x{a83}\x{abc}-\x{acf}\x{b82}` +
			`\x{bbe}-\x{bc2}\x{bc6}-\x{bc8}\x{bca}-\x{bcd}\x{c01}-\x{c03}\x{c3e}-\x{c56}\x{d3e}-\x{d44}\x{d46}-\x{d48}` +
			`\x{e30}-\x{e3a}\x{e47}-\x{e4e}\x{eb1}-\x{ebc}\x{ec8}-\x{ecd}`
	)
	var (
		letterIn = bracket("", letter62)
		digitIn  = bracket("", digit62)
		plain    = "[" + letterIn + "]" // a letter proper
		alnum    = "[" + letterIn + digitIn + "]"
		digit    = `[\x{7c0}-\x{7c9}` + digitIn + "]"
		letter   = group("["+moreLetters+letterIn+"]", `&[aeiouAEIOU](?:acute|grave|uml);`)
		letDig   = group(letter, digit)
		blank    = group(space, newline)

		name    = `[A-Za-z][A-Za-z0-9_:.\-]*`
		attr    = name + `[ ]*=[ ]*(?:'[^']*'|"[^"]*")`
		opened  = `<` + name + `(?:[ ]+` + group(name, attr) + `)*[ ]*/?[ ]*>`
		sgml    = group(`<[!?][A-Za-z\-][^>\r\n]*[ ]*>`, opened, `</`+name+`[ ]*>`)
		dotted  = letter + letDig + `*(?:[.!?]` + letter + letDig + `*)*` // a word, also one like yahoo!news
		clitic  = apos + `(?:[msdMSD]|re|ve|ll)`
		nt      = `n` + aposAny + `t`
		beforNt = `[A-Za-z\x{ad}]*[A-MO-Za-mo-z]\x{ad}*`

		urlTail = `[^ \t\n\f\r"<>|.!?(){},\-]`
		url     = `https?://[^ \t\n\f\r"<>|(){}]+` + urlTail
		www     = `www\.(?:[^ \t\n\f\r"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}`
		site    = group(www, `(?:[^ \t\n\f\r"\x{60}'<>|.!?(){},-_$]+\.)+(?:com|net|org|edu)`) +
			`(?:/[^ \t\n\f\r"<>|()]+` + urlTail + `)?`
		mailPart = `[^ \t\n\f\r"<>|(){}.\x{a0}]+`
		mail     = `(?:&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r"<>|()\x{a0}{}]*@(?:` + mailPart + `\.)*` + mailPart + `(?:&gt;|>)?`
		at       = group(`@[a-zA-Z_][a-zA-Z_0-9]*`, `#`+letter+`+`)

		date    = digit + `{1,2}[\-/]` + digit + `{1,2}[\-/]` + digit + `{2,4}`
		number  = `[\-+]?` + group(digit+`+`, digit+`*(?:[.:,\x{ad}\x{66b}\x{66c}]`+digit+`+)+`)
		super   = `[\x{207a}\x{207b}\x{208a}\x{208b}]?(?:[\x{2070}\x{b9}\x{b2}\x{b3}\x{2074}-\x{2079}]+|[\x{2080}-\x{2089}]+)`
		ratio   = `(?:` + digit + `{1,4}[- \x{a0}])?` + digit + `{1,4}(?:\\?/|\x{2044})` + digit + `{1,4}`
		special = group(`-RRB-`, `-LRB-`, `-RCB-`, `-LCB-`, `-RSB-`, `-LSB-`, `C\.D\.s`, `pro-`, `anti-`,
			`S(?:&|&amp;)P-500`, `S(?:&|&amp;)Ls`, `Cap`+apos+`n`, `c`+apos+`est`)
		slashed = `[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}`
		apoWord = group(apos+`n`+apos+`?`, `[lLdDjJ]`+apos, `Dunkin`+apos, `somethin`+apos, `ol`+apos, apos+`em`,
			`[A-HJ-XZn]`+aposAny+plain+`{2}`+plain+`*`, apos+`[2-9]0s`, apos+`till?`,
			plain+`+[aeiouyAEIOUY]`+aposAny+`[aeiouA-Z]`+plain+`*`, apos+`cause`, `cont'd\.?`, `'twas`, `nor'easter`,
			`c'mon`, `e'er`, `s'mores`, `ev'ry`, `li'l`, `nat'l`, `O`+aposAny+`o`)

		nation   = group(`Canada`, `Sino`, `Korean`, `EU`, `Japan`, `non`) + `-U\.S|U\.S\.-(?:U\.K|U\.S\.S\.R)`
		letters  = group(`[A-Za-z](?:\.[A-Za-z])*`, nation)
		letters2 = group(`[A-Za-z](?:\.[A-Za-z])+`, nation)
		sentence = blank + group(blank, "["+bracket("", upper62)+"]", sgml)
		starters = group(strings.Fields(`
			[A]bout [A]ccording [A]dditionally [A]fter [A]n [A] [A]s [A]t [B]ut [E]arlier [H]e [H]er [H]ere [H]owever [I]f
			[I]n [I]t [L]ast [M]any [M]ore [M]r\. [M]s\. [N]ow [O]nce [O]ne [O]ther [O]ur [S]he [S]ince [S]o [S]ome [S]uch
			[T]hat [T]he [T]heir [T]hen [T]here [T]hese [T]hey [T]his [W]e [W]hen [W]hile [W]hat [Y]et [Y]ou ` + "\x00")...)
		// Followed by a capital these also end a sentence …
		closers = group(strings.Fields(`
			Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri Ala Ariz [A]z [A]rk Calif Colo
			Conn Ct Dak [D]el Fla Ga [I]ll Ind Kans? Ky [L]a [M]ass Md Mich Minn [M]iss Mo Mont Neb Nev Okla [O]re [P]a Penn
			Tenn [T]ex Va Vt [W]ash Wisc? Wyo Inc Cos? Corp Pp?t[ye]s? Ltd Plc Rt Bancorp Bhd Assn Univ Intl Sys tel est ext
			sq Jr Sr Bros (?:Ed|Ph)\.D Blvd Rd Esq etc al seq Bldg`)...) + `\.`
		// … these never do …
		titles = group(append(strings.Fields(`
			Mr Mrs Ms [M]iss Drs? Profs? Sens? Reps? Attys? Lt Col Gen Messrs Govs? Adm Rev Maj Sgt Cpl Pvt Capt Ste? Ave Pres
			Lieut Hon Brig Co?mdr Pfc Spc Supts? Det Mt Ft Adj Adv Asst Assoc Ens Insp Mlle Mme Msgr Sfc vs Alex Wm Jos Cie
			a\.k\.a cf TREAS Ph Invt Elec Natl M[ft]g Dept`), letters)...)
		// … and these count only before a number.
		counted = `(?:ca|figs?|prop|nos?|art|bldg|pp|op)\.`
		file    = letDig + `+(?:\.` + letDig + `+)*\.` + group(strings.Fields(`
			bat bmp c class cgi cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl png ppt ps py
			sql tar txt wav x xml zip`)...)

		phoneNo = group(`(?:\([0-9]{2,3}\)[ \x{a0}]?|(?:\+\+?)?(?:[0-9]{2,4}[\- \x{a0}])?[0-9]{2,4}[\- \x{a0}])`+
			`[0-9]{3,4}[\- \x{a0}]?[0-9]{3,5}`,
			`(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}`)
		smiley  = `[<>]?[:;=][\-o*']?[()DPdpO\\{@|\[\]]`
		kaomoji = group(`[\^x=~<>]\.\[\^x=[^<]*<>\]`, `[\-\^x=~<>']_[\-\^x=~<>']`, `\([\-\^x=~<>'][_.]?[\-\^x=~<>']\)`,
			`\([\^x=~<>']-[\^x=~<>'\x{60}]\)`)

		hyphened  = `[A-Za-z0-9][A-Za-z0-9.,\x{ad}]*(?:-` + group(`[A-Za-z0-9\x{ad}]+`, letters2+`\.`) + `)+`
		elided    = `(?:[dDoOlL]` + aposAny + alnum + `)?` + alnum + `+`
		joined    = elided + `(?:` + hyphen + elided + `)*`
		ampersand = `[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+`
		symbols   = `[+%&~\^|\\` +
			`\x{a6}\x{a7}\x{a8}\x{a9}\x{ac}\x{ae}\x{af}\x{b0}-\x{b3}\x{b4}-\x{ba}\x{d7}\x{f7}\x{387}\x{5be}` +
			`\x{5c0}\x{5c3}\x{5c6}\x{5f3}\x{5f4}\x{600}-\x{603}\x{606}-\x{60a}\x{60c}\x{614}\x{61b}\x{61e}\x{66a}` +
			`\x{66d}\x{703}-\x{70d}\x{7f6}-\x{7f8}\x{964}\x{965}\x{e4f}\x{1fbd}\x{2016}\x{2017}\x{2020}-\x{2023}` +
			`\x{2030}-\x{2038}\x{203b}\x{203e}-\x{2042}\x{2044}\x{207a}-\x{207f}\x{208a}-\x{208e}\x{2100}-\x{214f}` +
			`\x{2190}-\x{2bff}\x{3012}\x{30fb}\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff20}\x{ff3b}-\x{ff40}\x{ff5b}-\x{ff65}]`
	)
	starters = strings.Replace(starters, "\x00", sgml, 1)
	return []rule{
		{`c\+\+`, ``, asIs},
		{`(?:c|f)#`, ``, asIs},
		{`cannot`, ``, keep3},
		{`'twas`, ``, keep2},
		{`'tis`, ``, keep2},
		{`gonna|gotta|lemme|gimme|wanna`, ``, keep3},
		{sgml, ``, noSpace},
		{`&(?:MD|mdash|ndash);|[\x{96}\x{97}\x{2013}\x{2014}\x{2015}]`, ``, dash},
		{`&amp;`, ``, amp},
		{`&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);`, ``, asIs},
		{dotted, clitic, word},
		{beforNt, nt, word},
		{dotted, ``, word},
		{apoWord, ``, asIs},
		{`y` + apos, plain, asIs},
		{url, ``, asIs},
		{site, ``, asIs},
		{mail, ``, asIs},
		{at, ``, asIs},
		{clitic, `[^A-Za-z]`, closing},
		{nt, `[^A-Za-z]`, closing},
		{date, ``, asIs},
		{number, ``, word},
		{super, ``, asIs},
		{ratio, ``, noSpace},
		{`[\x{bc}\x{bd}\x{be}\x{2153}-\x{215e}]`, ``, fraction},
		{special, ``, amp},
		{slashed, ``, asIs},
		{`[A-Z]*\$|#`, ``, asIs},
		{`[\x{a2}\x{a3}\x{a4}\x{a5}\x{80}\x{20a0}\x{20ac}\x{60b}\x{e3f}\x{20a4}` +
			`\x{ffe0}\x{ffe1}\x{ffe5}\x{ffe6}]`, ``, currency},
		{letters + `\.`, blank + `+` + starters + blank, acronym},
		{counted, blank + `?[` + digitIn + `]`, trim},
		{`(?:pt[eyEY]|co)\.`, space + `(?:ltd|lim)`, asIs},
		{closers, sentence, abbrev},
		{closers, any + any, asIs},
		{closers, ``, abbrev},
		{titles + `\.`, ``, asIs},
		{titles, space, asIs},
		{letters, blank, asIs},
		{apos + `[0-9][0-9]`, blank, asIs},
		{file, group(blank, `[.?!,]`), asIs},
		{dotted + `\.`, inner, word},
		{phoneNo, ``, phone},
		{`"|&quot;`, `[A-Za-z0-9$]`, opening},
		{`"|&quot;`, ``, closing},
		{`\x{7f}`, ``, drop},
		{`<|&lt;`, ``, less},
		{`>|&gt;`, ``, greater},
		{smiley, `[^A-Za-z0-9]`, parens},
		{kaomoji, ``, parens},
		{`\{`, ``, lcb},
		{`\}`, ``, rcb},
		{`\[`, ``, lsb},
		{`\]`, ``, rsb},
		{`[()]`, ``, parens},
		{`-+`, ``, dashes},
		{`\.{3,5}|(?:\.[ \x{a0}]){2,4}\.|[\x{85}\x{2026}]`, ``, dots},
		{`@+|#+|_+`, ``, asIs},
		{`\*+|(?:\\\*){1,3}`, ``, asIs},
		{inner, ``, asIs},
		{`[?!]+`, ``, asIs},
		{`[.\x{a1}\x{bf}\x{37e}\x{589}\x{61f}\x{6d4}\x{700}-\x{702}\x{7fa}\x{3002}]`, ``, asIs},
		{`[=/]`, ``, asIs},
		{hyphened + `\.`, inner, word},
		{hyphened, ``, word},
		{joined + `\.`, inner, asIs},
		{joined, ``, asIs},
		{ampersand + `\.`, inner, amp},
		{ampersand, ``, amp},
		{`'`, `[A-Za-z][^ \t\n\r\x{a0}]`, opening},
		{clitic, ``, closing},
		{nt, ``, closing},
		{apos + `|''|[\x{60}\x{2018}\x{2019}\x{201a}\x{201b}\x{201c}\x{201d}\x{91}\x{92}\x{93}\x{94}` +
			`\x{201e}\x{201f}\x{2039}\x{203a}\x{ab}\x{bb}]{1,2}`, ``, closing},
		{`<<|>>`, ``, asIs},
		{symbols, ``, asIs},
		{`[\x{0}\x{200b}\x{200e}\x{200f}\x{feff}]|` + space + `+`, ``, drop},
		{newline, ``, endLine},
		{`&nbsp;`, ``, drop},
		{`[^\n]`, ``, drop},
	}
}
