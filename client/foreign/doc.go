// Package foreign tries the whole client on an implementation that it shares no
// code with, examples/node-bank, rightly done and in many wrong variants: wrong
// ones have to lose, for the right reason and with a first complaint that names
// the fault, and right ones that are merely different must not lose anything.
//
// examples/node-bank/variants.csv says what is run, and what has to come of it: the
// test set and which of its sets, the exit code, the kind of the first check that
// fails and words that stand in some check that did not pass. Rows marked usual run
// always, the others too with
//
//	FOREIGN=all go test ./client/foreign
//
// which takes a minute or two on a machine that has nothing else to do. What is
// unknown there is tried again. Without Node.js, or before
//
//	npm ci --prefix examples/node-bank
//
// all of it is skipped, as it is with -short.
package foreign
