package transport

import "testing"

func TestSize(t *testing.T) {
	want := len(envelope(t))
	for _, m := range messages {
		size := Size(m)
		if size <= payload(m) {
			t.Errorf("%T takes %d bytes, its payload alone %d", m, size, payload(m))
		}
		want += size
	}
	if got := len(envelope(t, messages...)); got != want {
		t.Errorf("an envelope of all messages has %d bytes, its head and they have %d", got, want)
	}
	if size := Size("no message"); size != 0 {
		t.Errorf("what is no message takes %d bytes", size)
	}
}
