//go:build !amd64 || goexperiment.simd

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/slurm"
)

func fetchCommand() *cobra.Command {
	var o experiments.FetchOptions
	var rate string
	cmd := &cobra.Command{
		Use:   "fetch DATASET",
		Short: "Download a public data set, or copy it from a mirror, and verify every file",
		Long: `Download a public data set with its scans, or copy it from a mirror, and verify every file.

Its licence and what follows from it is shown first and has to be accepted once: at the terminal, or
with --accept-licence. A fetch may be stopped, or killed, at any time: the same command goes on.

  hounsfield fetch nsclc-radiomics --dry-run          how much it is, what is here, room on the disk
  hounsfield fetch nsclc-radiomics --patients LUNG1-001,LUNG1-002
  hounsfield fetch nsclc-radiomics --mirror /mnt/usb  where there is no internet
  hounsfield fetch nsclc-radiomics --source idc --manifest lung1.s5cmd`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Rate, err = bytesPerSecond(rate); err != nil {
				return err
			}
			o.Ask, o.Typed, o.Progress = askUser(cmd.Context()), typed(), progress.New(os.Stderr)
			return experiments.Fetch(cmd.Context(), args[0], o, os.Stdout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dest, "dest", "", "folder to write to (default: ~/.local/share/hounsfield)")
	f.StringVar(&o.Mirror, "mirror", "", "copy from this data folder instead of the network")
	f.StringVar(&o.Source, "source", "", "archive that the scans come from: nbia or idc (default: the data set's first)")
	f.StringVar(&o.Manifest, "manifest", "", "list of the only series to fetch: an s5cmd manifest of IDC, or a .tcia list")
	f.StringVar(&o.Server, "server", "", "address of another server with the archive's protocol")
	f.StringSliceVar(&o.Patients, "patients", nil, "only the scans of these patients, by id, commas between them")
	f.StringVar(&o.Only, "only", "", "fetch a part: tables (no scans), or images (nothing but scans)")
	f.IntVar(&o.Jobs, "jobs", 0, "transfers at a time (default: 4)")
	f.StringVar(&rate, "rate", "", "bytes a second at most, such as 500k or 10M (default: no limit)")
	f.BoolVar(&o.DryRun, "dry-run", false, "say how much there is to fetch, what is here and what room there is; fetch and accept nothing")
	f.BoolVar(&o.AcceptLicence, "accept-licence", false, "accept the licence without being asked; it is recorded with your user name")
	f.BoolVar(&o.Refresh, "refresh", false, "fetch anew what has changed at the source")
	return cmd
}

func datasetsCommand() *cobra.Command {
	var o experiments.ShowOptions
	cmd := &cobra.Command{
		Use:   "datasets [DATASET]",
		Short: "List the public data sets and what of them is here, or show one: licence, citation, files, how to get it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if o.Verify {
					return fmt.Errorf("--verify reads the files of one data set; type: %s DATASET --verify", cmd.CommandPath())
				}
				return experiments.ListDatasets(o.Mirror, os.Stdout)
			}
			o.Progress = progress.New(os.Stderr)
			return experiments.ShowDataset(cmd.Context(), args[0], o, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&o.Mirror, "mirror", "", "data folder to look in (default: $HOUNSFIELD_MIRROR, else ~/.local/share/hounsfield)")
	cmd.Flags().BoolVar(&o.Verify, "verify", false, "also read every fetched scan again and compare checksums")
	return cmd
}

// askUser asks whoever sits at the terminal; nil where nobody does.
func askUser(ctx context.Context) func(question string) (bool, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	return func(question string) (bool, error) { return ask(ctx, question, os.Stdin, os.Stderr) }
}

// ask waits for the line that answers, but not past a Ctrl-C, which does not end the reading of
// a terminal by itself.
func ask(ctx context.Context, question string, from io.Reader, to io.Writer) (bool, error) {
	fmt.Fprint(to, question)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(from).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(to)
		return false, ctx.Err()
	case l := <-read:
		if l.err != nil && l.err != io.EOF {
			return false, l.err
		}
		answer := strings.ToLower(strings.TrimSpace(l.text))
		return answer == "y" || answer == "yes", nil
	}
}

// typed is the command as it was typed, for messages that say what to type next.
func typed() string {
	words := []string{"hounsfield"}
	for _, word := range os.Args[1:] {
		words = append(words, slurm.Quote(word))
	}
	return strings.Join(words, " ")
}

// bytesPerSecond reads 500k, 10M or plain bytes, in powers of 1000.
func bytesPerSecond(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits, unit := s, int64(1)
	for suffix, size := range map[string]int64{"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			digits, unit = rest, size
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n*float64(unit) >= 1000 && n*float64(unit) <= 1e12) {
		return 0, fmt.Errorf("--rate %s: it must be bytes a second, at least 1k, such as 500k or 10M", s)
	}
	return int64(n * float64(unit)), nil
}
