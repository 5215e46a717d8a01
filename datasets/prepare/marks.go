package prepare

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"hounsfield/datasets/dicom"
)

// A mark is a value that identifies somebody, in the forms in which it is looked for. Case,
// accents and punctuation do not count; each list may be empty.
type mark struct {
	element string
	isName  bool
	// Strong forms are hardly found by chance.
	pairs  [][2]string // first and last name next to each other, or run together
	digits []string    // of dates and telephones, whatever sign parts them
	runs   []string    // whole runs of digits, without leading zeros
	glued  []string    // letters and digits, whatever parts them
	// Weak forms are single words, which may also mean something else.
	words []string // whole words
	parts []string // words, or parts of words
}

// text is a text in which marks are looked for, once as it is and once without what comes
// from the files: what is found as often in the program's own words does not count.
type text struct{ all, own words }

func newText(s, own string) text { return text{newWords(s), newWords(own)} }

func (m mark) strong(t text) bool {
	more := func(count func(w words) int) bool { return count(t.all) > count(t.own) }
	return slices.ContainsFunc(m.pairs, func(p [2]string) bool { return more(func(w words) int { return w.pairs(p) }) }) ||
		slices.ContainsFunc(m.digits, func(d string) bool { return more(func(w words) int { return strings.Count(w.digits, d) }) }) ||
		slices.ContainsFunc(m.runs, func(r string) bool { return more(func(w words) int { return occurrences(w.runs, r) }) }) ||
		slices.ContainsFunc(m.glued, func(g string) bool { return more(func(w words) int { return strings.Count(w.glued, g) }) })
}

func (m mark) weak(t text) bool {
	more := func(count func(w words) int) bool { return count(t.all) > count(t.own) }
	return slices.ContainsFunc(m.words, func(x string) bool {
		return more(func(w words) int { return occurrences(w.letters, x) }) || more(func(w words) int { return occurrences(w.tokens, x) })
	}) || slices.ContainsFunc(m.parts, func(x string) bool { return more(func(w words) int { return w.parts(x) }) })
}

func occurrences(list []string, s string) (n int) {
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// words is a text taken apart.
type words struct {
	letters []string // runs of letters
	tokens  []string // runs of letters and digits
	runs    []string // runs of digits without leading zeros
	digits  string   // runs of digits, joined where a single sign parts them, | between others
	glued   string   // letters and digits
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }
func notDigit(r rune) bool  { return r < '0' || r > '9' }
func notToken(r rune) bool  { return notLetter(r) && !unicode.IsDigit(r) }

func newWords(s string) words {
	s = fold(s)
	w := words{letters: strings.FieldsFunc(s, notLetter), tokens: strings.FieldsFunc(s, notToken), glued: glue(s)}
	for _, run := range strings.FieldsFunc(s, notDigit) {
		w.runs = append(w.runs, strings.TrimLeft(run, "0"))
	}
	var b strings.Builder
	gap := 2 // signs since the last digit
	for _, r := range s {
		if notDigit(r) {
			gap++
			if !notLetter(r) {
				gap = 2
			}
			continue
		}
		if gap > 1 {
			b.WriteByte('|')
		}
		b.WriteRune(r)
		gap = 0
	}
	w.digits = b.String()
	return w
}

func (w words) pairs(p [2]string) (n int) {
	for i, x := range w.letters {
		if i > 0 && x == p[1] && w.letters[i-1] == p[0] {
			n++
		}
		if both := p[0] + p[1]; x == both || len(both) >= 6 && strings.Contains(x, both) {
			n++
		}
	}
	return n
}

func (w words) parts(x string) (n int) {
	for _, l := range w.letters {
		if strings.Contains(l, x) {
			n++
		}
	}
	return n
}

// folded are letters as they are written without their accents. The two ways to write an
// umlaut become one: a, o and u.
var folded = strings.NewReplacer(
	"ä", "a", "à", "a", "á", "a", "â", "a", "ã", "a", "å", "a", "ā", "a", "ą", "a", "æ", "a",
	"ç", "c", "ć", "c", "č", "c", "ď", "d", "đ", "d", "ð", "d",
	"è", "e", "é", "e", "ê", "e", "ë", "e", "ē", "e", "ę", "e", "ě", "e", "ğ", "g",
	"ì", "i", "í", "i", "î", "i", "ï", "i", "ī", "i", "ı", "i", "ł", "l", "ñ", "n", "ń", "n", "ň", "n",
	"ö", "o", "ò", "o", "ó", "o", "ô", "o", "õ", "o", "ø", "o", "ō", "o", "ő", "o", "œ", "o",
	"ř", "r", "ś", "s", "š", "s", "ş", "s", "ș", "s", "ß", "ss", "ť", "t", "ţ", "t", "ț", "t", "þ", "th",
	"ü", "u", "ù", "u", "ú", "u", "û", "u", "ū", "u", "ů", "u", "ű", "u", "ý", "y", "ÿ", "y", "ź", "z", "ż", "z", "ž", "z",
	"ae", "a", "oe", "o", "ue", "u",
	"\u0300", "", "\u0301", "", "\u0302", "", "\u0303", "", "\u0308", "", "\u030a", "", "\u030c", "", "\u0327", "", // accents apart from their letters
)

func fold(s string) string { return folded.Replace(strings.ToLower(s)) }

// glue leaves letters and digits.
func glue(s string) string {
	return strings.Map(func(r rune) rune {
		if notToken(r) {
			return -1
		}
		return r
	}, fold(s))
}

// nobody are words that stand where a name or number was taken away, titles, and parts of
// names that are too common to be anybody's.
var nobody = setOf("anon", "anonym", "anonymous", "anonymus", "anonymized", "anonymised", "deidentified", "removed", "redacted", "withheld",
	"unknown", "none", "null", "nil", "na", "nn", "no", "not", "name", "noname", "nobody", "patient", "person", "subject", "case", "test", "phantom", "empty", "xx", "xxx", "xxxx",
	"dr", "prof", "mr", "mrs", "ms", "md", "herr", "frau", "jr", "sr",
	"van", "der", "den", "de", "du", "da", "do", "dos", "von", "zu", "di", "del", "la", "le", "el", "al", "ter", "ten", "bin", "ibn", "ben", "st")

func setOf(list ...string) map[string]bool {
	set := map[string]bool{}
	for _, x := range list {
		set[fold(x)] = true
	}
	return set
}

// newMarks are the forms of an identifier; none when it identifies nobody. id is the
// patient's id where that may come out.
func newMarks(f dicom.Identifier, id string) []mark {
	switch f.Kind {
	case dicom.PatientNames, dicom.StaffNames:
		var out []mark
		for _, written := range strings.Split(f.Value, "=") { // the same name in other scripts
			out = append(out, nameMarks(f, written, id)...)
		}
		return out
	case dicom.BirthDates:
		return dateMarks(f)
	case dicom.Codes:
		return codeMarks(f.Element, f.Value, id)
	case dicom.Addresses:
		if g := glue(f.Value); utf8.RuneCountInString(g) >= 8 {
			return []mark{{element: f.Element, glued: []string{g}}}
		}
	case dicom.Telephones:
		m := mark{element: f.Element}
		whole := digitsOf(f.Value) // with or without the codes of country and town
		for _, d := range append(strings.FieldsFunc(f.Value, notDigit), whole[max(len(whole)-8, 0):]) {
			if len(d) >= 6 {
				m.digits = append(m.digits, d)
			}
		}
		if len(m.digits) > 0 {
			return []mark{m}
		}
	}
	return nil
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if notDigit(r) {
			return -1
		}
		return r
	}, s)
}

// nameMarks takes family^given^middle^prefix^suffix apart (PS3.5, 6.2.1). Prefix and suffix
// identify nobody.
func nameMarks(f dicom.Identifier, name, id string) []mark {
	parts := strings.Split(name, "^")
	parts = parts[:min(len(parts), 3)]
	fields := strings.FieldsFunc(strings.Join(parts, " "), func(r rune) bool { return r == ' ' || r == ',' || r == '^' })
	if id != "" && glue(name) == glue(id) && (len(fields) == 1 || digitsOf(name) != "") {
		return nil // the id, no name
	}
	m := mark{element: f.Element, isName: true}
	var out []mark
	var byPart [][]string
	for _, part := range parts {
		var names []string
		for _, token := range strings.FieldsFunc(fold(part), notToken) {
			if digitsOf(token) != "" {
				if id == "" || !strings.Contains(glue(id), token) {
					out = append(out, codeMarks(f.Element, token, id)...)
				}
				continue
			}
			n := utf8.RuneCountInString(token)
			if nobody[token] || n == 1 && len(token) == 1 { // an initial
				continue
			}
			names = append(names, token)
			switch {
			case f.Kind == dicom.StaffNames && n < 4: // CT1, admin: many stations sign with such
			case f.Kind == dicom.StaffNames || n < 4:
				m.words = append(m.words, token)
			default:
				m.parts = append(m.parts, token)
			}
		}
		byPart = append(byPart, names)
	}
	join := func(a, b string) { m.pairs = append(m.pairs, [2]string{a, b}, [2]string{b, a}) }
	for i, names := range byPart {
		for k := range names[min(1, len(names)):] { // SMITH JOHN, without the sign between them
			join(names[k], names[k+1])
		}
		for _, later := range byPart[i+1:] {
			for _, a := range names {
				for _, b := range later {
					join(a, b)
				}
			}
		}
	}
	if len(m.words)+len(m.parts)+len(m.pairs) > 0 {
		out = append(out, m)
	}
	return out
}

func dateMarks(f dicom.Identifier) []mark {
	d := digitsOf(f.Value)
	if len(d) != 8 || d[4:6] == "00" || d[6:] == "00" || slices.Contains([]string{"18000101", "19000101", "11111111", "99999999"}, d) {
		return nil // no day of birth, or one that stands for none
	}
	y, month, day := d[:4], d[4:6], d[6:]
	m := mark{element: f.Element, digits: []string{d, day + month + y, month + day + y}}
	for _, short := range []string{y[2:] + month + day, day + month + y[2:]} { // as in national numbers
		m.runs = append(m.runs, strings.TrimLeft(short, "0"))
	}
	return []mark{m}
}

// codeMarks are numbers of patients, requests and stays. One digit or letter is nobody's.
func codeMarks(element, value, id string) []mark {
	g := glue(value)
	digits := digitsOf(g)
	run := strings.TrimLeft(digits, "0")
	n := utf8.RuneCountInString(g)
	if n < 2 || nobody[g] || run == "" && digits == g || id != "" && g == glue(id) {
		return nil
	}
	m := mark{element: element}
	switch {
	case digits == g && n >= 5:
		m.runs = append(m.runs, run)
	case digits != "" && n >= 5:
		m.glued = append(m.glued, g)
		for _, part := range strings.FieldsFunc(g, notDigit) {
			if len(part) >= 5 && part != digitsOf(id) {
				m.runs = append(m.runs, strings.TrimLeft(part, "0"))
			}
		}
	case digits == "" && n >= 4 && element == patientIDElement:
		m.parts = append(m.parts, g)
	default:
		m.words = append(m.words, g)
	}
	return []mark{m}
}

const patientIDElement = "PatientID (0010,0020)"
