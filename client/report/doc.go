// Package report renders what package runner brought home and package check
// judged: printed tables, and the files of a results directory. Rendering never
// changes a verdict: every format is made from one of two typed models, and the
// results themselves. Summary is everything about a run, for programs; Grade is
// what a run or a graded submission was worth, for those who are told.
//
// What callers use:
//
//	opts := report.OptionsFor(os.Stdout)               // colour only on a terminal, NO_COLOR honoured
//	report.PrintSet(w, &set, &verdict, opts)           // all standard tables of a set, and its verdict line
//	report.PrintRun(w, run, &runVerdict, opts)         // the closing table and verdict line of the run
//	report.NewRecorder(dir).Write(run, verdicts)       // summary.json, summary.txt, history.jsonl, performance.csv, a Grade's files
//	report.ReadHistory(f)                              // the run again, from its history.jsonl
//	report.Rewrite(dir, run, verdicts, nil)            // the files of a run that was judged again
//	report.JSON(w, run, verdicts)                      // summary.json's content, for --json
//
//	g := report.FromRun(run, verdicts)                 // a Grade with a section for each set
//	report.WriteGrade(dir, g)                          // results.json (Gradescope), junit.xml, report.md, report.html
//	report.GitHubFrom(os.Getenv).Finish(w, g)          // in a step of GitHub Actions: annotations, summary, output
//
// A Grade is rendered by Gradescope, JUnit, Annotations, StepSummary, Classroom,
// Markdown and HTML. The last two, and the terminal, show the same tables: the
// printing functions below write to a layout, which keeps titles, text and
// tables apart.
//
// What other people's programs said is shown and never interpreted: escape.go
// makes every string printable and bounded, and each format escapes its own
// syntax. hostile_test.go and valid_test.go hold all formats to that.
//
// For --print and --step, there are the single tables:
//
//	report.PrintTransactions(w, &set, opts)
//	report.PrintDB(w, &set)
//	report.PrintBalance(w, &set, item)                 // n4 : 8, n5 : 8, n6 : 10
//	report.PrintViews(w, &set)
//	report.PrintPerformance(w, &set)
//	report.PrintChecks(w, &set, &verdict, opts)
//	report.PrintLog(w, &set, "n1")                     // "" for every node
//	report.PrintStatus(w, &set, seq)                   // 0 for all sequence numbers
//	report.PrintLocks(w, &set)
//	report.PrintTimeline(w, &call, timelines)
//
// PrintSet itself adds logs, statuses and locks when opts.Log, opts.Status or
// opts.Locks is set. All of them return the first error of writing.
package report
