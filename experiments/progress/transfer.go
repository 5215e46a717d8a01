package progress

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Moment is how far a transfer of many files is.
type Moment struct {
	Done, Total int64 // bytes; Total 0 = nobody knows
	Growing     bool  // sizes of some items are not known: Total is too small
	Items, Of   int
	Now         string        // what is on its way
	Speed       float64       // bytes a second
	Left        time.Duration // negative = unknown
}

// Transfer shows one bar for a transfer as a whole: bytes, items, speed and time left. Without
// a terminal it says a line each ten seconds at most.
type Transfer struct {
	p     *Progress
	width func() int
	bytes func(int64) string
	start time.Time
	said  time.Time
	drawn bool
}

// Transfer begins one; bytes formats numbers of bytes.
func (p *Progress) Transfer(bytes func(int64) string) *Transfer {
	t := &Transfer{p: p, bytes: bytes, start: time.Now(), said: time.Now(), width: func() int { return 80 }}
	if p != nil {
		if f, ok := p.out.(interface{ Fd() uintptr }); ok && p.terminal {
			t.width = func() int {
				if w, _, err := term.GetSize(int(f.Fd())); err == nil {
					return w
				}
				return 80
			}
		}
	}
	return t
}

// Set shows where it stands. It is called from one goroutine at a time.
func (t *Transfer) Set(m Moment) {
	switch {
	case t.p == nil:
	case t.p.terminal:
		t.drawn = true
		io.WriteString(t.p.out, "\r\x1b[K"+bar(m, t.bytes, t.width()-1)) // a bar that cannot be drawn stops nothing
	case time.Since(t.said) >= plainEvery && m.Items < m.Of:
		t.said = time.Now()
		t.p.Say("%s", line(m, t.bytes))
	}
}

// Done takes the bar away and gives how long the transfer took.
func (t *Transfer) Done() time.Duration {
	if t.drawn {
		io.WriteString(t.p.out, "\r\x1b[K")
	}
	return time.Since(t.start)
}

// line is the state in words.
func line(m Moment, bytes func(int64) string) string {
	s := fmt.Sprintf("%d of %d, %s", m.Items, m.Of, bytes(m.Done))
	if m.Total > 0 {
		s += " of "
		if m.Growing {
			s += "at least "
		}
		s += bytes(m.Total)
	}
	if m.Speed > 0 {
		s += ", " + bytes(int64(m.Speed)) + "/s"
	}
	if m.Left >= 0 && m.Total > 0 {
		s += ", about " + clock(m.Left) + " left"
	}
	return s
}

// bar is the state on one line of a terminal that has so many characters.
func bar(m Moment, bytes func(int64) string, width int) string {
	share := 0.0
	switch {
	case m.Total > 0:
		share = min(1, float64(m.Done)/float64(m.Total))
	case m.Of > 0:
		share = float64(m.Items) / float64(m.Of)
	}
	text := line(m, bytes)
	room := width - utf8.RuneCountInString(text) - len("[] 100%  ")
	if room < 5 {
		return cut(fmt.Sprintf("%3.0f%%  %s", 100*share, text), width)
	}
	room = min(room, 30)
	full := int(share * float64(room))
	s := fmt.Sprintf("[%s%s] %3.0f%%  %s", strings.Repeat("=", full), strings.Repeat(" ", room-full), 100*share, text)
	if left := width - utf8.RuneCountInString(s) - 2; m.Now != "" && left >= 12 {
		s += "  " + tail(m.Now, left)
	}
	return s
}

// cut keeps the beginning of a text, tail its end.
func cut(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:max(width, 0)])
	}
	return s
}

func tail(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return "..." + string(r[len(r)-width+3:])
	}
	return s
}

// clock is a time left for people: 45 s, 3 min, 2 h 05 min.
func clock(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}
