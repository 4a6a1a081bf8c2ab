package drive

import (
	"strings"
	"testing"

	"paxbank/client/sandbox"
)

// Every run says what held its nodes, also that nothing did.
func TestContainment(t *testing.T) {
	for _, c := range []struct {
		impl Implementation
		want string
	}{
		{Implementation{Attach: true}, "none that is known of: the nodes were started elsewhere"},
		{Implementation{Command: []string{"node"}}, "none: the nodes had the rights of the user who ran them"},
		{Implementation{Command: []string{"node"}, Sandbox: &sandbox.Policy{Mode: sandbox.None}}, "limits: process group, "},
	} {
		if got := c.impl.Containment(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.impl, got, c.want)
		}
	}
}
