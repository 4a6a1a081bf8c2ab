//go:build !linux

package main

// runInBackground has no equivalent here.
func runInBackground() error { return nil }
