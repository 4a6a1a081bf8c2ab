package paxbankv1

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var update = flag.Bool("update", false, "add what is new to testdata/contract.txt")

// lines says everything of a file that other programs rely on, one thing a line.
func lines(f protoreflect.FileDescriptor) (all []string) {
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			stream := map[bool]string{true: "stream "}
			all = append(all, fmt.Sprintf("call %s(%s%s) %s%s", m.FullName(), stream[m.IsStreamingClient()], m.Input().Name(),
				stream[m.IsStreamingServer()], m.Output().Name()))
		}
	}
	enums(f.Enums(), &all)
	messages(f.Messages(), &all)
	return all
}

func enums(list protoreflect.EnumDescriptors, all *[]string) {
	for i := range list.Len() {
		values := list.Get(i).Values()
		for j := range values.Len() {
			*all = append(*all, fmt.Sprintf("value %s.%s = %d", list.Get(i).FullName(), values.Get(j).Name(), values.Get(j).Number()))
		}
	}
}

func messages(list protoreflect.MessageDescriptors, all *[]string) {
	for i := range list.Len() {
		m := list.Get(i)
		for j := range m.Fields().Len() {
			d := m.Fields().Get(j)
			kind := d.Kind().String()
			switch d.Kind() {
			case protoreflect.MessageKind:
				kind = string(d.Message().FullName())
			case protoreflect.EnumKind:
				kind = string(d.Enum().FullName())
			}
			*all = append(*all, fmt.Sprintf("field %s = %d %s %s", d.FullName(), d.Number(), d.Cardinality(), kind))
		}
		enums(m.Enums(), all)
		messages(m.Messages(), all)
	}
}

// lost returns what of one list the other does not have.
func lost(old, current []string) (findings []string) {
	for _, l := range old {
		if !slices.Contains(current, l) {
			findings = append(findings, l)
		}
	}
	return findings
}

// The contract only grows: nodes that were written for what it once was must go
// on working.
func TestContractOnlyGrows(t *testing.T) {
	path := filepath.Join("testdata", "contract.txt")
	data, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	old := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
	var current []string
	for _, f := range public() {
		current = append(current, lines(f)...)
	}
	slices.Sort(current)
	for _, l := range lost(old, current) {
		t.Errorf("the contract had %q and has it no more: old nodes and clients rely on it", l)
	}
	added := lost(current, old)
	switch {
	case t.Failed():
	case *update:
		if err := os.WriteFile(path, []byte(strings.Join(current, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		for _, l := range added {
			t.Errorf("%s does not list %q (go test ./proto/paxbank/v1 -update)", path, l)
		}
	}
	// The comparison can fail, too.
	if gone := lost([]string{"field paxbank.v1.Transfer.amount = 4 optional int64"}, current); len(gone) != 1 {
		t.Error("a field that was renumbered is not missed")
	}
}
