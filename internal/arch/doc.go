// Package arch keeps the house in order: its tests read the import graph and the
// syntax trees of the whole module and fail when a room knows what it must not
// know. ARCHITECTURE.md draws the rooms and arrows; this package is what makes
// the drawing true.
//
// The rules are tables in rules.go. purity.go and text.go look at single files,
// graph.go at imports. Every rule is also tried on a fixture that breaks it, so
// that a check which can no longer fail is noticed.
package arch
