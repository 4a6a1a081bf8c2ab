package launch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// Ports are looked for from portFirst up to where the system starts handing out
// ports to outgoing connections: from there on, the port of a killed node could
// be taken by any connection before the node is back.
const (
	portFirst       = 10_000
	portLastDefault = 32_000
	portTries       = 1000
)

// port is a free port that no other driver on this machine chooses.
type port struct {
	number int
	claim  net.Listener // nil where the system has no such thing
}

func (p *port) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number)) }

func (p *port) release() {
	if p.claim != nil {
		p.claim.Close()
	}
}

// free reports whether the port can be listened on now.
func (p *port) free() bool {
	l, err := net.Listen("tcp", p.address())
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// freePort finds a port on 127.0.0.1 that nobody listens on, and claims it
// against other drivers: between this look and the node's own listen a second
// driver would find the same port free, and then talk to our node. The claim is
// an abstract unix socket, which vanishes with this process.
func freePort() (*port, error) {
	last := portLast()
	for range portTries {
		p := &port{number: portFirst + rand.IntN(last-portFirst)}
		if abstractNames {
			claim, err := net.Listen("unix", "@paxbank-port-"+strconv.Itoa(p.number))
			if err != nil {
				continue
			}
			p.claim = claim
		}
		if p.free() {
			return p, nil
		}
		p.release()
	}
	return nil, errors.New("no free port found on 127.0.0.1 after " + fmt.Sprint(portTries) + " tries")
}

func portLast() int {
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return portLastDefault
	}
	fields := strings.Fields(string(data))
	if len(fields) == 0 {
		return portLastDefault
	}
	first, err := strconv.Atoi(fields[0])
	if err != nil || first < portFirst+portTries {
		return portLastDefault
	}
	return min(first, 65_000)
}
