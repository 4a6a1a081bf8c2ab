package transport

// Size is how many bytes a message of the core takes in an Envelope; 0 for what has
// no wire form. The Envelope's head, of which many messages share one, is not
// counted.
func Size(m any) int {
	b, err := appendMessage(nil, m)
	if err != nil {
		return 0
	}
	return len(b)
}
