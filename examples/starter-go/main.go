// Command starter-go is a node with empty handlers: as much as the driver needs
// to start it and give a first verdict, and nothing of a bank. README.md says
// what to build first.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	pb "paxbank/proto/paxbank/v1"
)

func main() {
	id := flag.String("id", "", "which node of the topology this is")
	listen := flag.String("listen", "", "host:port to serve on")
	data := flag.String("data", "", "directory of this node's own")
	flag.Parse()
	if err := run(*id, *listen, *data); err != nil {
		fmt.Fprintf(os.Stderr, "starter-go: %v\n", err)
		os.Exit(1)
	}
}

// run serves until SIGTERM or Ctrl-C.
func run(id, listen, data string) error {
	if id == "" || listen == "" || data == "" {
		return errors.New("--id, --listen and --data are needed")
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	n := &node{id: id, data: data}
	server := grpc.NewServer()
	pb.RegisterControlServer(server, control{node: n})
	pb.RegisterBankServer(server, bank{node: n})
	pb.RegisterInspectServer(server, inspect{node: n})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		server.Stop()
	}()
	return server.Serve(listener)
}
