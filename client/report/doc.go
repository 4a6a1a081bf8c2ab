// Package report renders what package runner brought home and package check
// judged: printed tables, and the files of a results directory. Rendering never
// changes a verdict: every format is made from one typed model (Summary) and
// the results themselves.
//
// What callers use:
//
//	opts := report.OptionsFor(os.Stdout)               // colour only on a terminal, NO_COLOR honoured
//	report.PrintSet(w, &set, &verdict, opts)           // all standard tables of a set, and its verdict line
//	report.PrintRun(w, run, &runVerdict, opts)         // the closing table and verdict line of the run
//	report.NewRecorder(dir).Write(run, verdicts)       // summary.json, summary.txt, history.jsonl, performance.csv
//	report.ReadHistory(f)                              // the run again, from its history.jsonl
//	report.Rewrite(dir, run, verdicts, nil)            // the files of a run that was judged again
//	report.JSON(w, run, verdicts)                      // summary.json's content, for --json
//
// and, for --print and --step, the single tables:
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
