package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"paxbank/server/sim"
)

// transferMessages are the types that a transfer without faults is made of.
var transferMessages = []string{"Accept", "Accepted", "Commit",
	"TwoPCPrepareRequest", "TwoPCPrepareReply", "TwoPCCommitRequest", "TwoPCCommitReply"}

func (m *matrix) print(w io.Writer, rows []counted) error {
	fmt.Fprintf(w, "Seed %d. Syncs are those of log entries, on all nodes together. Waits: one-way network delays + syncs, one after the other, from send to answer.\n", m.seed)
	fmt.Fprintf(w, "\nA transfer that is alone in the bank (%d of them)\n", m.alone)
	t := [][]string{{"Nodes", "Cross %", "Clusters", "Messages", "Envelopes", "Bytes", "Entries", "Syncs", "Waits, intra", "Waits, cross"}}
	for i := range rows {
		r := &rows[i]
		t = append(t, append(r.cells(&r.Alone), waits(r.Alone.Intra), waits(r.Alone.Cross)))
	}
	if err := table(w, t); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nA transfer when every cluster is sent %d at once (%d times)\n", m.together, m.waves)
	t = [][]string{{"Nodes", "Cross %", "Clusters", "Messages", "Envelopes", "Bytes", "Entries", "Syncs"}}
	for i := range rows {
		t = append(t, rows[i].cells(&rows[i].Together))
	}
	if err := table(w, t); err != nil {
		return err
	}
	fmt.Fprint(w, "\nMessages of a transfer by type, at the most clusters\n")
	t = [][]string{append([]string{"Nodes", "Cross %", "Clusters", "Load"}, transferMessages...)}
	for i := range rows {
		r := &rows[i]
		if i+1 < len(rows) && rows[i+1].nodes == r.nodes && rows[i+1].cross == r.cross {
			continue
		}
		t = append(t, append(r.key("alone"), byType(&r.Alone)...), append(r.key("together"), byType(&r.Together)...))
	}
	if err := table(w, t); err != nil {
		return err
	}
	fmt.Fprint(w, "\nThe bank itself\n")
	t = [][]string{{"Nodes", "Clusters", "Start: messages", "of it announcements", "Idle: messages/s", "of a cluster", "Streams of a node"}}
	for i := range rows {
		r := &rows[i]
		if r.cross != m.cross[0] {
			continue
		}
		idle := sim.Sum(r.Idle.Messages)
		t = append(t, []string{strconv.Itoa(r.nodes), strconv.Itoa(r.clusters), rate(float64(sim.Sum(r.Start.Messages))),
			rate(float64(r.Start.Messages["LeaderAnnouncement"])), rate(float64(idle)), amount(float64(idle) / float64(r.clusters)),
			strconv.Itoa(r.clusters*r.nodes - 1)})
	}
	return table(w, t)
}

func (r *counted) key(more ...string) []string {
	return append([]string{strconv.Itoa(r.nodes), strconv.Itoa(r.cross), strconv.Itoa(r.clusters)}, more...)
}

func (r *counted) cells(l *sim.Load) []string {
	return r.key(amount(messages(l)), amount(each(l, l.Envelopes)), amount(bytesOf(l)), amount(entries(l)), amount(each(l, l.Syncs)))
}

func byType(l *sim.Load) (cells []string) {
	for _, name := range transferMessages {
		cells = append(cells, amount(each(l, l.Messages[name])))
	}
	return cells
}

// amount shows a number with three digits behind the point where that tells
// something.
func amount(v float64) string {
	digits := 3
	if v >= 100 {
		digits = 0
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// rate shows a whole number with its thousands grouped.
func rate(v float64) string {
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// about is rate with no more than three digits that are not zero; nothing for what
// has no bound.
func about(v float64) string {
	if math.IsInf(v, 1) {
		return ""
	}
	unit := 1.0
	for v/unit >= 1000 {
		unit *= 10
	}
	return rate(math.Round(v/unit) * unit)
}

// table prints rows under the first of them, numbers to the right. REQUIRES: all are
// of one width.
func table(w io.Writer, rows [][]string) error {
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignRight},
	}
	var b bytes.Buffer
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Symbols:  tw.NewSymbols(tw.StyleASCII),
			Borders:  tw.Border{Left: tw.Off, Right: tw.Off, Top: tw.Off, Bottom: tw.Off},
			Settings: tw.Settings{Separators: tw.Separators{BetweenRows: tw.Off}},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: cell, Row: cell, Behavior: tw.Behavior{TrimSpace: tw.Off}}),
		tablewriter.WithHeaderAutoFormat(tw.Off),
	)
	t.Header(rows[0])
	for _, r := range rows[1:] {
		if err := t.Append(r); err != nil {
			return fmt.Errorf("table row: %w", err)
		}
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		if _, err := w.Write(append(bytes.TrimRight(line, " \n"), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// csvRow is a row of the file: of one combination, under one load. Verdict, kind,
// host and commit are what internal/gen/plots wants of a performance.csv.
type csvRow struct {
	Verdict  string `csv:"verdict"`
	Kind     string `csv:"kind"`
	Sent     string `csv:"sent"`
	Load     string `csv:"load"`
	Clusters int    `csv:"clusters"`
	Nodes    int    `csv:"nodes_per_cluster"`
	Cross    int    `csv:"cross_percent"`
	// For each transfer.
	Messages    float64 `csv:"messages"`
	Envelopes   float64 `csv:"envelopes"`
	Bytes       float64 `csv:"bytes"`
	Entries     float64 `csv:"entries"`
	Syncs       float64 `csv:"syncs"`
	CommitSyncs float64 `csv:"commit_syncs"`
	Accept      float64 `csv:"accept"`
	Accepted    float64 `csv:"accepted"`
	Commit      float64 `csv:"commit_messages"`
	TwoPC       float64 `csv:"twopc"`
	// Simulated medians.
	Intra  float64 `csv:"intra_us"`
	Across float64 `csv:"cross_us"`

	Transfers int    `csv:"transfers"`
	Host      string `csv:"host"`
	Revision  string `csv:"commit"`
}

func writeCSV(path string, seed uint64, rows []counted) error {
	revision := commit()
	var all []csvRow
	for i := range rows {
		r := &rows[i]
		for _, l := range []struct {
			sent string
			*sim.Load
		}{{"alone", &r.Alone}, {"together", &r.Together}} {
			row := csvRow{Verdict: "pass", Kind: "all", Sent: l.sent, Load: fmt.Sprintf("%s, %d %% cross-shard", l.sent, r.cross),
				Clusters: r.clusters, Nodes: r.nodes, Cross: r.cross,
				Messages: messages(l.Load), Envelopes: each(l.Load, l.Envelopes), Bytes: bytesOf(l.Load), Entries: entries(l.Load),
				Syncs: each(l.Load, l.Syncs), CommitSyncs: each(l.Load, l.CommitSyncs),
				Accept: each(l.Load, l.Messages["Accept"]), Accepted: each(l.Load, l.Messages["Accepted"]),
				Commit: each(l.Load, l.Messages["Commit"]),
				Intra:  float64(l.Intra) / 1000, Across: float64(l.Cross) / 1000,
				Transfers: l.Transfers, Host: fmt.Sprintf("simulator, seed %d", seed), Revision: revision}
			for _, name := range transferMessages[3:] {
				row.TwoPC += each(l.Load, l.Messages[name])
			}
			all = append(all, row)
		}
	}
	return create(path, func(w io.Writer) error { return gocsv.Marshal(all, w) })
}

// commit this program was built from, with + when files were changed; "" when
// unknown (go run tells with -buildvcs=true).
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + changed
}
