//go:build !linux

package main

// scheduleInBatches has no equivalent here.
func scheduleInBatches() error { return nil }
