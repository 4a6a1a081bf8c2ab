package drive

import (
	"paxbank/client/launch"
	"paxbank/client/sandbox"
)

// Implementation is whose nodes are driven.
type Implementation struct {
	// Command is the program to start as a node, with {id}, {listen} and {data} in
	// its arguments; empty when Attach is set.
	Command []string
	// Attach: the nodes run already, at the topology's addresses.
	Attach bool
	// Name is the command as the user gave it; "" for our own server.
	Name string
	// Listen and Sandbox are as in launch.Config.
	Listen  string
	Sandbox *sandbox.Policy
}

// OwnNetwork reports whether contained nodes have no network but a loopback each.
func (i *Implementation) OwnNetwork() bool { return i.Listen == launch.ListenUnix }

// Containment says in one line what holds the nodes, or that nothing does.
func (i *Implementation) Containment() string {
	switch {
	case i.Attach:
		return "none that is known of: the nodes were started elsewhere"
	case i.Sandbox == nil:
		return "none: the nodes had the rights of the user who ran them"
	}
	return i.Sandbox.Describe(i.OwnNetwork()).String()
}
