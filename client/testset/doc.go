// Package testset reads CSV test sets (sets of commands with the nodes that live
// at their start) and the expected files beside them.
//
//	file, err := testset.Parse("my.csv", data)   // err: Errors, all of them
//	errs := file.Check(&file.Sets[0], topology)  // against the bank it runs on
//	rows, err := testset.ParseExpected("my.expected.csv", data)
//
// Nothing is ever dropped silently: what is not understood is an error with file,
// line and column, and all errors are reported at once. Reading and checking are
// two steps because one file may hold sets for banks of different shapes.
//
// The files: cells.go CSV to cells that know their place, parse.go cells to sets,
// command.go one command, check.go sets against a topology, expected.go and
// expected_check.go the same for expectations, errors.go the list of errors,
// testset.go the types.
package testset
