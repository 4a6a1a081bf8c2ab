// Command gradescope packs a suite for Gradescope: one zip with the grader, the
// suite and all that its sections are made of, the scripts that Gradescope calls,
// and the Go modules that submissions build with where there is no network.
//
//	go run ./examples/gradescope -suite examples/gradescope/suite.yaml -o bin/gradescope.zip
//
// In the zip, which Gradescope unpacks to /autograder/source:
//
//	setup.sh         runs once, when the image is built
//	run_autograder   runs for every submission
//	client           this repository's client, linked statically
//	bundle.env       where the suite lies
//	pending.json     results.json before anything has run
//	suite/           the suite and its files, as they lay beside each other
//	modules/         a module proxy
//	warm/            what setup.sh compiles ahead
//	go.tar.gz        Go itself, with -go
//
// It is run from the root of the repository.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"paxbank/client/grade"
)

func main() {
	suite := flag.String("suite", "examples/gradescope/suite.yaml", "suite to pack")
	out := flag.String("o", "bin/gradescope.zip", "zip to write")
	arch := flag.String("arch", "amd64", "processor of the containers: amd64 or arm64")
	tarball := flag.String("go", "", "put in this archive of Go (go1.….linux-amd64.tar.gz), for images that have none")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "gradescope: %q is not expected; see -help\n", flag.Arg(0))
		os.Exit(64)
	}
	if err := pack(*suite, *out, *arch, *tarball); err != nil {
		fmt.Fprintf(os.Stderr, "gradescope: %v\n", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%s: upload it as the autograder; docs/grading.md#gradescope\n", *out)
}

// pack writes the zip.
func pack(path, out, arch, tarball string) error {
	suite, err := grade.ReadSuite(path)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "paxbank-gradescope-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	client := filepath.Join(work, "client")
	if err := buildClient(client, arch); err != nil {
		return err
	}
	b := &bundle{}
	if err := b.addGrader(client); err != nil {
		return err
	}
	if err := b.addSuite(suite, work); err != nil {
		return err
	}
	modules, err := serverModules()
	if err != nil {
		return err
	}
	if err := errors.Join(b.addModules(modules), b.addWarm()); err != nil {
		return err
	}
	if tarball != "" {
		b.file("go.tar.gz", tarball, 0o644)
	}
	return b.write(out)
}

// buildClient builds the client for the containers, linked statically.
func buildClient(to, arch string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", to, "paxbank/client")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the client for linux/%s with %s: %w\n%s", arch, runtime.Version(), err, out)
	}
	return nil
}
