package grpcopts

import "strings"

// Target returns what grpc.NewClient needs to reach a node's address, host:port
// or unix:///path, without a look-up of names that are none.
func Target(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return address
	}
	return "passthrough:///" + address
}
