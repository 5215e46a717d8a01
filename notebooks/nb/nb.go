// Package nb is what the cells of a notebook call: it runs experiments by the same
// code as the command line, shows tables and figures from the run folder, and
// embeds plots whose controls answer without the kernel.
//
// A cell is compiled and run as a process of its own, so nothing is kept between
// cells but declarations and files. The state of a notebook is therefore the run
// folder: a cell asks for its run again by [Run], which finds what is done.
//
// Everything shown has a plain form too. It stands in for the rich one where there
// is no browser: in a terminal, and in the check that executes all notebooks.
//
// Functions here end the cell when something is wrong: they print the error, which
// names the next step, and exit with status 1.
package nb

import (
	"context"
	"errors"
	"fmt"
	"html"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/janpfeifer/gonb/gonbui"
	"github.com/janpfeifer/gonb/gonbui/protocol"
)

// Must gives the value, or ends the cell with the error.
func Must[V any](v V, err error) V {
	Check(err)
	return v
}

// Check ends the cell when there is an error.
func Check(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted; run the cell again to go on: %w", err)
	}
	exit(err)
}

// exit is replaced in tests.
var exit = func(err error) {
	if gonbui.IsNotebook {
		gonbui.Sync()
	}
	fmt.Fprintln(os.Stderr, "hounsfield:", err)
	os.Exit(1)
}

// Context ends when the cell is interrupted from the notebook, and when the kernel that
// began it is gone: the run then stops after what it is doing, and keeps it.
var Context = sync.OnceValue(func() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the cell where it stands
	if !gonbui.IsNotebook {
		return ctx
	}
	ctx, end := context.WithCancel(ctx)
	// A kernel that was killed cannot end its cells; a new one would begin the same run.
	kernel := os.Getppid()
	go func() {
		for os.Getppid() == kernel {
			time.Sleep(time.Second)
		}
		end()
	}()
	return ctx
})

// output is one output of a cell in two forms; the notebook shows the richer one.
type output struct {
	html  string
	plain string // "" for what has no place in a log, such as a bar that moves
	id    string // outputs of one id replace each other; "" stands by itself
}

// show is replaced in tests.
var show = func(o output) {
	if !gonbui.IsNotebook {
		if o.plain != "" {
			fmt.Println(o.plain)
		}
		return
	}
	data := map[protocol.MIMEType]any{protocol.MIMETextHTML: o.html}
	if o.plain != "" {
		data[protocol.MIMETextPlain] = o.plain
	}
	gonbui.SendData(&protocol.DisplayData{Data: data, DisplayID: o.id})
	gonbui.Sync() // or the cell may end before the notebook has it
}

// textStyle keeps columns of plain text below each other, whatever page they are on.
const textStyle = "font:13px/1.45 monospace;white-space:pre-wrap;margin:.3em 0"

// notice shows a short text that asks for attention.
func notice(title, text string) {
	show(output{
		html: `<div role="note" style="border-left:4px solid #0072B2;padding:.4em .8em;background:#eef5fa;color:#222"><strong>` + html.EscapeString(title) +
			`</strong><pre style="` + textStyle + `;background:none;color:inherit">` + html.EscapeString(text) + `</pre></div>`,
		plain: title + "\n" + text,
	})
}
