package launch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// place is where a node listens.
type place interface {
	address() string
	// clear removes what a killed node may have left there.
	clear()
	// free reports whether a node could listen there now.
	free() bool
	release()
}

// newPlace finds one for a node.
func (f *Fleet) newPlace(id string) (place, error) {
	if f.cfg.Listen == ListenUnix {
		return socket(filepath.Join(f.sockets, id+".sock")), nil
	}
	return freePort()
}

// socket is the path of a Unix socket. Nobody else knows the directory it is in.
type socket string

func (s socket) address() string { return "unix://" + string(s) }

// clear removes the socket: not every program does that itself before it listens
// again.
func (s socket) clear() { _ = os.Remove(string(s)) } // usually it is not there

func (s socket) free() bool { return true }

func (s socket) release() {}

// longestSocket is what fits into a sockaddr_un everywhere, in bytes.
const longestSocket = 100

// socketDirectory makes a private directory for sockets whose paths, with the
// longest of the ids, are short enough.
func socketDirectory(longest string) (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "bank")
		if err != nil {
			return "", err
		}
		if len(filepath.Join(dir, longest+".sock")) < longestSocket {
			return dir, nil
		}
		if err := os.Remove(dir); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("the id %s is too long for the name of a socket", longest)
}

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

func (p *port) clear() {}

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
