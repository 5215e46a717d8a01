// Package progress tells a person how far long work is.
package progress

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Progress tells a person how far the work is: bars with an ETA on a terminal,
// plain lines elsewhere. A nil *Progress is silent.
type Progress struct {
	out      io.Writer
	terminal bool
}

// New writes to a file, with bars when it is a terminal.
func New(f *os.File) *Progress {
	return &Progress{out: f, terminal: term.IsTerminal(int(f.Fd()))}
}

// Say prints one line.
func (p *Progress) Say(format string, args ...any) {
	if p == nil {
		return
	}
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K") // a bar that stands there is drawn again below
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Terminal says whether somebody watches, so that a bar shows how far the work is.
func (p *Progress) Terminal() bool { return p != nil && p.terminal }

// Bar counts the steps of one long piece of work.
type Bar struct {
	p     *Progress
	bar   *progressbar.ProgressBar
	what  string
	unit  string // of a step; "" where the rate is of no interest
	total int
	done  int
	start time.Time
	said  time.Time
}

// Bar starts to count total steps of something.
func (p *Progress) Bar(total int, what string) *Bar { return p.Rated(total, what, "") }

// Rated is Bar that also says how many steps a second there are; unit is what a step is, in the
// plural, such as patients.
func (p *Progress) Rated(total int, what, unit string) *Bar {
	b := &Bar{p: p, what: what, unit: unit, total: total, start: time.Now(), said: time.Now()}
	if p.Terminal() {
		options := []progressbar.Option{progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish()}
		if unit != "" {
			options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit))
		}
		b.bar = progressbar.NewOptions(total, options...)
	}
	return b
}

// rate is the steps a second so far, in words after a comma.
func (b *Bar) rate() string {
	seconds := time.Since(b.start).Seconds()
	if b.unit == "" || !(seconds > 0) {
		return ""
	}
	rate := float64(b.done) / seconds
	if rate >= 10 {
		return fmt.Sprintf(", %.0f %s/s", rate, b.unit)
	}
	return fmt.Sprintf(", %.2g %s/s", rate, b.unit)
}

// Note changes what stands before the bar.
func (b *Bar) Note(format string, args ...any) {
	b.what = fmt.Sprintf(format, args...)
	if b.bar != nil {
		b.bar.Describe(b.what)
	}
}

// plainEvery keeps plain logs short: a line at most that often.
const plainEvery = 10 * time.Second

// Add counts n steps more. It is called from one goroutine at a time.
func (b *Bar) Add(n int) {
	b.done += n
	switch {
	case b.bar != nil:
		_ = b.bar.Add(n) // a bar that cannot be drawn stops nothing
	case b.p != nil && time.Since(b.said) >= plainEvery && b.done < b.total:
		b.said = time.Now()
		left := time.Duration(float64(time.Since(b.start)) / float64(b.done) * float64(b.total-b.done))
		b.p.Say("%s: %d of %d%s, about %s left", b.what, b.done, b.total, b.rate(), left.Round(time.Second))
	}
}

// Done takes the bar away and prints one closing line.
func (b *Bar) Done() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
	b.p.Say("%s: %d in %s%s", b.what, b.done, time.Since(b.start).Round(100*time.Millisecond), b.rate())
}

// Bytes shows the bytes of one file after another.
func (p *Progress) Bytes() func(path string, done, total int64) {
	var bar *progressbar.ProgressBar
	current := ""
	return func(path string, done, total int64) {
		if p == nil {
			return
		}
		if path != current {
			current, bar = path, nil
			if p.terminal {
				bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(path),
					progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
			}
		}
		if bar != nil {
			_ = bar.Set64(done) // a bar that cannot be drawn stops nothing
		}
		if done == total {
			p.Say("%s: %d bytes", path, total)
		}
	}
}

// Downloads shows what an installation does.
func (p *Progress) Downloads() func(what string, done, total int64) {
	show, now := p.Bytes(), ""
	return func(what string, done, total int64) {
		if total > 0 {
			show(what, done, total)
		} else if what != now { // nobody knows how much is to come
			p.Say("%s", what)
		}
		now = what
	}
}
