package main

import (
	"strings"
	"testing"
)

// A command line is one argument, and its paths tell of the machine too.
func TestUnplacedLooksIntoCommandLines(t *testing.T) {
	got := unplaced([]string{
		"--node-cmd", "java -jar /elsewhere/node.jar --id {id} --data={data}",
		`--node-cmd=python3 "/elsewhere/my node.py" '/elsewhere/x' --conf=/elsewhere/c.yaml --attach`,
		"/", "a=b", "",
	})
	want := []string{
		"--node-cmd", "java -jar node.jar --id {id} --data={data}",
		`--node-cmd=python3 "my node.py" 'x' --conf=c.yaml --attach`,
		"/", "a=b", "",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
