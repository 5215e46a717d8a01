package fetch

import (
	"sync"
	"time"
)

// progress adds up what all transfers do, for one bar.
type progress struct {
	mu       sync.Mutex
	tell     func(Event)
	e        Event
	here     map[string]int64 // bytes of items on their way
	expected map[string]int64 // -1 = unknown
	over     int64            // bytes over the line
	told     time.Time
	marks    []mark // the last seconds
}

// mark is how many bytes had come over the line at a time.
type mark struct {
	at   time.Time
	over int64
}

const (
	tellEvery = 100 * time.Millisecond
	speedOver = 10 * time.Second
)

func newProgress(tell func(Event), p Plan) *progress {
	g := &progress{tell: tell, here: make(map[string]int64), expected: make(map[string]int64), marks: []mark{{at: time.Now()}}}
	g.e = Event{Items: p.Here + p.Changed, Of: len(p.Items), Left: -1}
	for _, it := range p.Items {
		if it.State != ToFetch {
			continue
		}
		g.here[it.Item.Path], g.expected[it.Item.Path] = it.Have, it.Item.Size
		g.e.Done += it.Have
		if it.Item.Size < 0 {
			g.e.Unknown++
		} else {
			g.e.Total += it.Item.Size
		}
	}
	return g
}

// at says how many bytes of an item are here now.
func (g *progress) at(path string, n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.e.Done += n - g.here[path]
	g.here[path] = n
	g.e.Now = path
	g.say(false)
}

// line counts bytes that came over the line, wanted or not.
func (g *progress) line(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over += n
}

// expect says how many bytes the transfer of an item has, which the list may not have known: an
// archive is smaller than its files. -1 changes nothing.
func (g *progress) expect(path string, n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n < 0 {
		return
	}
	if g.expected[path] < 0 {
		g.e.Unknown--
	} else {
		g.e.Total -= g.expected[path]
	}
	g.expected[path] = n
	g.e.Total += n
}

// arrived counts an item whose bytes are all here.
func (g *progress) arrived(path string) {
	g.mu.Lock()
	n := g.here[path]
	g.mu.Unlock()
	g.expect(path, n)
	g.file()
}

// file counts one more that is done.
func (g *progress) file() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.e.Items++
	g.say(false)
}

// end tells the last state, once all workers are done.
func (g *progress) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.e.Now = ""
	g.say(true)
}

func (g *progress) say(last bool) {
	now := time.Now()
	if g.tell == nil || !last && now.Sub(g.told) < tellEvery {
		return
	}
	g.told = now
	for len(g.marks) > 1 && now.Sub(g.marks[1].at) >= speedOver {
		g.marks = g.marks[1:]
	}
	first := g.marks[0]
	g.marks = append(g.marks, mark{now, g.over})
	g.e.Speed, g.e.Left = 0, -1
	if d := now.Sub(first.at).Seconds(); d > 0 {
		g.e.Speed = float64(g.over-first.over) / d
	}
	if g.e.Speed > 0 && g.e.Unknown == 0 {
		if left := float64(g.e.Total-g.e.Done) / g.e.Speed; left < float64(1000*24*time.Hour/time.Second) {
			g.e.Left = time.Duration(max(0, left) * float64(time.Second))
		}
	}
	g.tell(g.e)
}
