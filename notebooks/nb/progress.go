package nb

import (
	"bufio"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/janpfeifer/gonb/gonbui"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

// meter is one output of the cell that changes while an experiment runs: the last
// lines it said, a bar for the work under way, and how long the cell has run.
type meter struct {
	id    string
	begun time.Time
	lines []string
	// The work under way: total is 0 when none is counted.
	what, left  string
	done, total int
}

// saidLines is how many of the lines stay in sight.
const saidLines = 12

// follow gives a Progress whose lines show below the cell, and what ends it. Outside of
// a notebook they go to standard error.
func follow() (_ *progress.Progress, end func()) {
	if !gonbui.IsNotebook {
		return progress.New(os.Stderr), func() {}
	}
	r, w, err := os.Pipe()
	Check(err)
	p := &meter{id: "progress-" + gonbui.UniqueId(), begun: time.Now()}
	lines := make(chan string)
	go func() {
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			lines <- scanner.Text()
		}
		close(lines)
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		clock := time.NewTicker(time.Second)
		defer clock.Stop()
		for {
			select {
			case line, more := <-lines:
				if !more {
					p.total = 0
					if len(p.lines) > 0 {
						show(output{html: p.html(false), id: p.id})
					}
					return
				}
				p.say(line)
			case <-clock.C:
			}
			show(output{html: p.html(true), id: p.id})
		}
	}()
	return progress.New(w), func() {
		w.Close()
		<-ended
		r.Close()
	}
}

// counted is how experiments say where a piece of work stands.
var counted = regexp.MustCompile(`^(.*): (\d+) of (\d+), about (.*) left$`)

// say takes a line: one that counts moves the bar, any other ends it.
func (p *meter) say(line string) {
	if m := counted.FindStringSubmatch(line); m != nil {
		p.what, p.left = m[1], m[4]
		p.done, _ = strconv.Atoi(m[2])
		p.total, _ = strconv.Atoi(m[3])
		return
	}
	p.total = 0
	p.lines = append(p.lines, line)
	p.lines = p.lines[max(0, len(p.lines)-saidLines):]
}

func (p *meter) html(running bool) string {
	var b strings.Builder
	b.WriteString(`<div style="font-size:13px"><pre style="` + textStyle + `">` + html.EscapeString(strings.Join(p.lines, "\n")) + `</pre>`)
	if p.total > 0 {
		fmt.Fprintf(&b, `<label><progress max="%d" value="%d"></progress> %s: %d of %d, about %s left</label><br>`, p.total, p.done, html.EscapeString(p.what), p.done, p.total, html.EscapeString(p.left))
	}
	if running {
		fmt.Fprintf(&b, `running for %s; interrupt the kernel to stop, run the cell again to go on`, time.Since(p.begun).Round(time.Second))
	}
	b.WriteString(`</div>`)
	return b.String()
}

// lossesFile is drawn anew in the run folder after every epoch.
const lossesFile = "losses.svg"

// Train runs an experiment like [Run] and shows the losses of its run folder while they
// grow. At the end the whole figure stands there, also for a run that was done before.
func Train(cfg experiments.Config) *experiments.Done {
	id := ""
	stop, stopped := make(chan struct{}), make(chan struct{})
	if gonbui.IsNotebook {
		id = "losses-" + gonbui.UniqueId()
		go func() {
			defer close(stopped)
			watchLosses(env(nil).Runs, cfg.Experiment, id, stop)
		}()
	} else {
		close(stopped)
	}
	done := Run(cfg)
	close(stop)
	<-stopped
	o := figureOutput(Must(os.ReadFile(File(done, "figures", lossesFile))), "Training of "+cfg.Experiment)
	o.id = id
	show(o)
	return done
}

// watchLosses shows the losses of the experiment's run folder that changes, until stop.
func watchLosses(runs, experiment, id string, stop <-chan struct{}) {
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	last := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-clock.C:
		}
		files, err := filepath.Glob(filepath.Join(runs, experiment+"-*", "figures", lossesFile))
		if err != nil {
			return // the folder's name is no pattern; the figure comes at the end
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || !info.ModTime().After(last) {
				continue
			}
			svg, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			last = info.ModTime()
			o := figureOutput(svg, "Training of "+experiment+", as far as it is")
			show(output{html: o.html, id: id})
		}
	}
}
