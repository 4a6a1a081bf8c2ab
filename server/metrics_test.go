package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// TestWhileAsked: recording begins with the first who asks and ends with the last.
func TestWhileAsked(t *testing.T) {
	var recorded []int
	inside, leave := make(chan bool), make(chan bool)
	h := whileAsked(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- true
		<-leave
	}), func(on int) { recorded = append(recorded, on) })
	done := make(chan bool)
	ask := func() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/?seconds=1", nil))
		done <- true
	}
	go ask()
	<-inside
	go ask()
	<-inside
	for range 2 {
		leave <- true
		<-done
	}
	if want := []int{1, 1, 1, 0}; !slices.Equal(recorded, want) {
		t.Errorf("recording was set to %v, want %v", recorded, want)
	}
}
