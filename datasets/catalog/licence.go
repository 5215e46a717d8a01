package catalog

import "strings"

// Answer to the question whether a licence allows something.
type Answer string

// What a licence can say.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unclear Answer = "unclear" // it is not stated: whoever wants to has to ask
)

var answers = []string{string(Yes), string(No), string(Unclear)}

// Terms are what follows from a licence, in this project's reading.
type Terms struct {
	Commercial     Answer `yaml:"commercial"`     // may it be used for money
	Redistribution Answer `yaml:"redistribution"` // may it be given to others
	Note           string `yaml:"note"`
}

// Consequences says in sentences what may be done.
func (t Terms) Consequences() []string {
	s := make([]string, 0, 3)
	switch t.Commercial {
	case Yes:
		s = append(s, "Commercial use is allowed.")
	case No:
		s = append(s, "No commercial use. Whether what was trained on the data may be sold is disputed: ask the owner before.")
	default:
		s = append(s, "Whether commercial use is allowed is not clear: ask the owner before.")
	}
	switch t.Redistribution {
	case Yes:
		s = append(s, "You may pass copies on, with the licence and the citation.")
	case No:
		s = append(s, "Do not pass copies on.")
	default:
		s = append(s, "Whether you may pass copies on is not clear: ask the owner before.")
	}
	if note := strings.TrimSpace(t.Note); note != "" {
		s = append(s, note)
	}
	return s
}

// Licensed is the licence of a part of a data set.
type Licensed struct {
	Of      string `yaml:"of"` // which part, in words
	Licence string `yaml:"licence"`
	Terms   Terms  `yaml:"terms"`
}

// Licences are all of an entry's: the main one, whose Of is empty where it is the only
// one, then those of parts.
func (e Entry) Licences() []Licensed {
	main := Licensed{Licence: e.Licence, Terms: e.Terms}
	if len(e.OtherLicences) > 0 {
		main.Of = "all but what follows"
	}
	return append([]Licensed{main}, e.OtherLicences...)
}

// LicenceText is what a person accepts: every licence with what follows from it. Another
// text is another acceptance.
func (e Entry) LicenceText() string {
	var b strings.Builder
	for _, l := range e.Licences() {
		if l.Of != "" {
			b.WriteString(l.Of + ": ")
		}
		b.WriteString(l.Licence + "\n")
		for _, s := range l.Terms.Consequences() {
			b.WriteString("  " + s + "\n")
		}
	}
	return b.String()
}

// LicenceName is the licence without what is said beside it: CC BY-NC 3.0.
func (e Entry) LicenceName() string {
	name, _, _ := strings.Cut(e.Licence, ";")
	name, _, _ = strings.Cut(name, "(")
	return strings.TrimSpace(name)
}
