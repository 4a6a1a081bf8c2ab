// Package grade grades a class: many submissions by one suite of test sets.
//
//	suite, err := grade.ReadSuite("suite.yaml")      // err: everything that is wrong with it
//	speed, err := grade.MeasureSpeed(ctx, os.TempDir())
//	class, err := grade.Run(ctx, grade.Options{Suite: suite, Submissions: dirs, Dir: dir, Worker: worker, Speed: speed, …})
//	class.Print(os.Stdout)
//	os.Exit(class.ExitCode())                        // 0 once everybody has a grade, whatever it is
//
// A submission is copied, built and run in boxes of package sandbox, and what it
// does wrong costs only itself. Each run of a test set is a process of its own, the
// worker (this program again, under WorkerCommand), in a network of its own where
// the system has such; what it is to do comes through a pipe. The worker drives a
// disguised plan in a scratch directory: with randomise, items are permuted inside
// their clusters and sets are shuffled. Before anything is judged or written, what
// came of it is turned back into the items of the file. So everything that staff
// read speaks of the file, and nothing that a node can reach does.
//
// A submission's grade.json is replaced after every set. A section that is in it
// with the same key, a hash over all that decides what its runs come to, is not run
// again; points, thresholds and visibility are no part of that, and are counted
// anew. What the grader itself got wrong (Broken) and what it did not get to (Open)
// is done when the class is graded next.
//
// The files: suite.go, threshold.go, manifest.go and read.go what is read; files.go
// copying what was handed in; grader.go the class, submission.go one submission,
// section.go a section of it, run.go the grader's side of a worker and worker.go the
// other, rename.go the disguise; key.go and state.go what is kept, score.go what it
// is worth; board.go the leaderboard, secret.go pseudonyms; gradebook.go, print.go
// and render.go what is written, gradescope.go where somebody waits for it; speed.go
// and estimate.go how long it takes, machine.go whether there is room for it.
package grade
