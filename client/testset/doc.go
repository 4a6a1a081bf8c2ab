// Package testset reads CSV test sets (sets of commands with the nodes that live
// at their start) and the expected files beside them.
//
//	file, err := testset.Parse("my.csv", data)   // err: Errors, all of them
//	errs := file.Check(&file.Sets[0], topology)  // against the bank it runs on
//	err = file.Format(os.Stdout)                 // as it was understood
//	rows, err := testset.ParseExpected("my.expected.csv", data)
//
// Reading and checking are two steps because one file may hold sets for banks of
// different shapes: a set is checked only when it runs, against its own. Check
// also gives named items their numbers.
//
// # The dialects
//
// Test sets come out of spreadsheets and editors, and no two look alike. What is
// written has one of three fates:
//
//   - Understood: there is only one way to read it, and people write it so.
//   - Understood with a warning: there is only one way to read it, but it is odd,
//     or something on the row is not used.
//   - Refused: it makes no sense, or two. Nothing runs. Every error has file, line
//     and column of the very word that it speaks of, and a suggestion; all errors
//     of a file come at once. Lines and columns are those of the file, counted
//     from 1 in characters, as editors do.
//
// Nothing is ever dropped silently.
//
//	            understood                       with a warning                   refused
//	text        UTF-8 with and without byte      bytes of Windows-1252;           NUL bytes, UTF-32
//	            order mark; UTF-16 with one;     typographic quotes, dashes,
//	            \n, \r\n, \r; no-break and       full-width characters
//	            zero-width spaces
//	rows        comma, tab or semicolon,         title before the header;         text behind a closing
//	            chosen by content or sep=; no    header repeated; #3,(7) as a     quote; a quote that is
//	            header, any header; blank rows;  comment                          never closed
//	            # comments; empty columns;
//	            brackets protect commas
//	set         7, Set 7, Test 7, "#7", 7. ,     7.0                              anything else; a number
//	            any order, any gaps, repeated                                     that comes back later
//	            on every row
//	nodes       n1, N1, S1, 1, node 1; lists     n1-n9, n1..n9, [n1, …, n9];      unknown or listed twice;
//	            in [ ], { }, (n1, n2), quotes    a comma at the end               other nodes on a later
//	            or bare, separated by , ; or                                      row; (1, 2)
//	            blanks; All, [] or empty: all
//	commands    (s, r, amt), (s), (s,), F(n3),   -1002, which was (1002); 2.0;    unknown item or cluster;
//	            fail(3), R, recover, LF,         $2; (1 -> 2, 3); (1; 2; 3);      amount below 1; 3.5;
//	            LF(c2), lf; several in a cell    1, 2, 3 in one cell; F n3;       [1, 2, 3]; a transfer in
//	            with ; or a newline between      F[n3]; F(n3, n4);                three columns; other
//	                                             a transfer to oneself            consistency levels
//	items       numbers; names that the                                           names where the topology
//	            topology gives                                                    gives none
//	further     contact nodes, fourth or named   contact nodes without a          commands; Byzantine nodes
//	columns     so by the header                 header; notes
//
// The files: decode.go bytes to plain text, scan.go text to rows of cells,
// cells.go cells that know their place, header.go what the columns are for,
// parse.go rows to sets, command.go, tuple.go and nodes.go what stands in a cell,
// check.go and names.go sets against a topology, format.go back to CSV,
// expected.go and expected_check.go the same for expectations, errors.go the list
// of errors, testset.go the types.
package testset
