package testset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paxbank/internal/topology"
)

// show writes a file back in a short form.
func show(f *File) string {
	var b strings.Builder
	for _, s := range f.Sets {
		live := "all"
		if s.Live != nil {
			live = strings.Join(s.Live, " ")
		}
		fmt.Fprintf(&b, "set %d line %d live %s:", s.Number, s.Line, live)
		for _, c := range s.Commands {
			fmt.Fprintf(&b, " %d:%d %s;", c.Line, c.Column, c.Text)
		}
		b.WriteString("\n")
	}
	for _, w := range f.Warnings {
		b.WriteString(w + "\n")
	}
	return b.String()
}

const plain = `Set Number,Transactions,Live Nodes
1,"(21, 700, 2)","[n1, n2, n3, n4, n5, n7, n9]"
,"(100, 501, 8)",
,F(n3),
2,"(3001, 4650, 2)",
,(7800),
,LF,
,LF(c2),
,R(n3),
`

const plainShown = `set 1 line 2 live n1 n2 n3 n4 n5 n7 n9: 2:4 (21, 700, 2); 3:3 (100, 501, 8); 4:2 F(n3);
set 2 line 5 live all: 5:4 (3001, 4650, 2); 6:2 (7800); 7:2 LF; 8:2 LF(c2); 9:2 R(n3);
`

func TestParse(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", plain, plainShown},
		{"crlf", strings.ReplaceAll(plain, "\n", "\r\n"), plainShown},
		{"no final newline", strings.TrimSuffix(plain, "\n"), plainShown},
		{"BOM", "\ufeff" + plain, plainShown},
		{"any header", strings.Replace(plain, "Set Number,Transactions,Live Nodes", "No.,What (to do),Who lives", 1), plainShown},
		{"no header", strings.SplitN(plain, "\n", 2)[1], strings.NewReplacer(
			"line 2", "line 1", "line 5", "line 4", " 2:4", " 1:4", " 3:3", " 2:3", " 4:2", " 3:2", " 5:4", " 4:4",
			" 6:2", " 5:2", " 7:2", " 6:2", " 8:2", " 7:2", " 9:2", " 8:2").Replace(plainShown)},
		{"comments and blank lines", "# a comment, with (1, 2\n\nSet,T,L\n  \n,,\n# more\n1,\"(1, 2, 3)\",\n  # and \n,(4),\n",
			"set 1 line 7 live all: 7:4 (1, 2, 3); 9:2 (4);\n"},
		{"blanks everywhere", " 1 ,  \" ( 21 ,700,  2 ) \"  ,  \" [ n1 , n2 ] \"  \n  , ( 100,501 , 8 ) , \n , F( n3 ) ,\n",
			"set 1 line 1 live n1 n2: 1:9 (21, 700, 2); 2:5 (100, 501, 8); 3:4 F(n3);\n"},
		{"unquoted", "1,(17,164,5),[n1, n2]\n,(3,4,5)\n,(6)\n", "set 1 line 1 live n1 n2: 1:3 (17, 164, 5); 2:2 (3, 4, 5); 3:2 (6);\n"},
		{"bare live lists", "1,(1),n1,n2,n3\n2,(1),\"n4, n5\"\n3,(1),[]\n", "set 1 line 1 live n1 n2 n3: 1:3 (1);\nset 2 line 2 live n4 n5: 2:3 (1);\nset 3 line 3 live all: 3:3 (1);\n"},
		{"node spellings", "1,F(S3),\"[S1, 2, N3]\"\n,f(3)\n,r( s3 )\n,lf(3)\n", "set 1 line 1 live n1 n2 n3: 1:3 F(n3); 2:2 F(n3); 3:2 R(n3); 4:2 LF(c3);\n"},
		{"repeated set number and list", "1,(1),\"[n1, n2]\"\n1,(2),\"[n2,n1]\"\n1,(3)\n", "set 1 line 1 live n1 n2: 1:3 (1); 2:3 (2); 3:3 (3);\n"},
		{"levels", "1,\"(1, linearizable)\"\n,\"(1, 2, 3, Linearizable)\"\n,\"(44,)\"\n", "set 1 line 1 live all: 1:4 (1); 2:3 (1, 2, 3); 3:3 (44);\n"},
		{"several in a cell", "1,\"(1, 2, 3)\n(4);F(n3)\n\"\n", "set 1 line 1 live all: 1:4 (1, 2, 3); 2:1 (4); 2:5 F(n3);\n"},
		{"command first", "1,(1)\n\"(2, 3, 4)\"\nF(n1)\n", "set 1 line 1 live all: 1:3 (1); 2:2 (2, 3, 4); 3:1 F(n1);\n"},
		{"damaged read", "1,-1002\n", "set 1 line 1 live all: 1:3 (1002);\nf.csv:1:3: warning: -1002 is taken for (1002), which spreadsheets turn into a negative number\n"},
		{"gaps", "9,(1)\n3,LF\n", "set 9 line 1 live all: 1:3 (1);\nset 3 line 2 live all: 2:3 LF;\n"},
		{"empty set", "1,,\"[n1]\"\n", "set 1 line 1 live n1:\nf.csv:1:1: warning: set 1 has no commands\n"},
		{"negative amounts parse", "1,\"(1, 2, -3)\"\n", "set 1 line 1 live all: 1:4 (1, 2, -3);\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Parse("dir/f.csv", []byte(tc.in))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(tc.want, show(f)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", "f.csv:1:1: no sets"},
		{"header only", "Set Number,Transactions,Live Nodes\n", "f.csv:1:1: no sets"},
		{"set number", "x1,(1)\n", `f.csv:1:1: "x1" is not a set number`},
		{"not a command", "1,transfer\n", `f.csv:1:3: unknown command "transfer"`},
		{"two numbers", "1,\"(1, 2)\"\n", `f.csv:1:4: "(1, 2)" has 2 numbers`},
		{"bad number", "1,\"(1, 2x, 3)\"\n", `f.csv:1:8: "2x" is not a whole number`},
		{"decimal", "1,(1, 2, 3.5)\n", `f.csv:1:10: "3.5" is not a whole number`},
		{"missing number", "1,\"(1, , 3)\"\n", `f.csv:1:8: a number is missing`},
		{"too large", "1,(99999999999999999999)\n", `f.csv:1:4: number 99999999999999999999 is too large`},
		{"open parenthesis", "1,\"(1, 2, 3\"\n", `f.csv:1:4: "(1, 2, 3" has no closing parenthesis`},
		{"open, unquoted", "1,(1\n", `f.csv:1:3: "(1" has no closing parenthesis`},
		{"rest", "1,\"(1, 2, 3) (4)\"\n", `f.csv:1:14: "(4)" after a command`},
		{"level", "1,\"(1, eventual)\"\n", `f.csv:1:8: consistency level "eventual" is not built yet`},
		{"no node", "1,F()\n", `f.csv:1:3: F names no node`},
		{"two nodes, one bad", "1,\"F(n1, n!2)\"\n", `f.csv:1:10: "n!2" is not a node`},
		{"bare number", "1,1002\n", `f.csv:1:3: "1002" is not a command (a read is written (1002), a transfer`},
		{"after quote", "1,\"(1, 2, 3)\" x\n,(4)\n", `f.csv:1:15: text "x" after a closing quote`},
		{"bare quote", "1,(1)\n,LF\"3\n", `f.csv:2:4: quote inside an unquoted cell`},
		{"open quote", "1,(1)\n,\"(1, 2, 3)\n,(4)\n", `f.csv:2:2: a quoted cell begins here and is never closed`},
		{"orphan", ",(1)\n,(2)\n", `f.csv:1:2: command before the first set`},
		{"duplicate set", "1,(1)\n2,(1)\n1,(1)\n", `f.csv:3:1: set 1 was already begun on line 1`},
		{"bracket", "1,(1),\"[n1, n2\"\n", `f.csv:1:8: live list "[n1, n2" lacks a bracket`},
		{"live gap", "1,(1),\"[n1,, n2]\"\n", `f.csv:1:12: a node is missing`},
		{"live word", "1,(1),\"[n1, n 2x]\"\n", `f.csv:1:13: "n 2x" is not a node`},
		{"live changes", "1,(1),\"[n1, n2]\"\n,(2),[n1]\n", `f.csv:2:6: live nodes [n1] in the middle of set 1`},
		{"further command", "1,(1),[n1],(2)\n", `f.csv:1:12: command "(2)" in a further column`},
		{"byzantine", "Set,Transactions,Live,Byzantine\n1,(1),[n1],\n", `f.csv:1:23: column "Byzantine"`},
		{"utf-16 of odd length", "\xff\xfe1\x00,\x00(", `f.csv:1:3: file is not UTF-16 text`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("dir/f.csv", []byte(tc.in))
			errs, ok := err.(Errors)
			if !ok || len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), tc.want) {
				t.Errorf("got %v\nwant one error beginning with %s", err, tc.want)
			}
		})
	}
}

// What is no text at all gets one error, and one cell never fills the screen.
func TestUnreadableFilesGetOneShortError(t *testing.T) {
	for name, data := range map[string]string{
		"f.csv:1:3: file is not text (save it as CSV UTF-8)":                 "\xff\xfe\x00\x001\x00\x00\x00",
		"f.csv:2:3: file is not text (save it as CSV UTF-8)":                 "PK\x03\x04\n1,\x00\x00\n2,(7)\n",
		"f.csv:1:1: file is not text":                                        "\x00",
		"f.csv:1:3: unknown command \"" + strings.Repeat("x", 200) + "…\" (": "1," + strings.Repeat("x", 5000),
	} {
		_, err := Parse("f.csv", []byte(data))
		if got := fmt.Sprint(err); !strings.HasPrefix(got, name) || strings.Contains(got, "\n") || len(got) > 400 {
			t.Errorf("got %q, want %q", got, name)
		}
	}
}

func TestParseReportsAllErrorsInFileOrder(t *testing.T) {
	_, err := Parse("f.csv", []byte("1,(x!)\n,\"(1, 2)\"\n1x,(1)\n,\"a\" b\n,F(n3) n4\n"))
	want := []string{"f.csv:1:4:", "f.csv:2:3:", "f.csv:3:1:", "f.csv:4:6:", "f.csv:5:8:"}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(want), err)
	}
	for i, l := range lines {
		if !strings.HasPrefix(l, want[i]) {
			t.Errorf("error %d is %q, want it at %s", i, l, want[i])
		}
	}
}

func TestCheck(t *testing.T) {
	f, err := Parse("f.csv", []byte("1,\"(1, 9001, 2)\",\"[n1, n10, n1]\"\n,\"(1, 2, 0)\"\n,\"(5, 5, 1)\"\n,F(n11)\n,LF(c4)\n,(0)\n2,(77777)\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range f.Check(&f.Sets[0], topology.Default()) {
		got = append(got, e.Error())
	}
	nodes := "(nodes are n1, n2, n3, n4, n5, n6, n7, n8, n9)"
	want := []string{
		"f.csv:1:8: (1, 9001, 2): unknown item 9001 (items are 1 to 9000)",
		"f.csv:1:24: set 1: unknown node n10 in the live list " + nodes,
		"f.csv:1:29: set 1: node n1 is twice in the live list (name it once)",
		"f.csv:2:10: (1, 2, 0): amount 0 is not positive (amounts start at 1)",
		"f.csv:3:3: warning: (5, 5, 1) goes to the item it comes from; its outcome will be invalid",
		"f.csv:4:4: F(n11): unknown node n11 " + nodes,
		"f.csv:5:5: LF(c4): unknown cluster c4 (clusters are c1, c2, c3)",
		"f.csv:6:3: (0): unknown item 0 (items are 1 to 9000)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCheckTakesTheTopologysNodeNames(t *testing.T) {
	top := &topology.Topology{
		Clusters: []topology.Cluster{{ID: "c1", Nodes: []topology.Node{{ID: "s1"}, {ID: "s2"}}}},
		Items:    topology.ItemMap{Ranges: []topology.Range{{First: 1, Last: 9}}},
	}
	f, err := Parse("f.csv", []byte("1,F(S2),\"[S1, s2]\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if errs := f.Check(&f.Sets[0], top); len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := show(f); got != "set 1 line 1 live s1 s2: 1:3 F(s2);\n" {
		t.Errorf("got %s", got)
	}
}

// FuzzParse: no panic, and every row that is not blank, a comment or the header
// yields a command, a set or an error.
func FuzzParse(f *testing.F) {
	for _, s := range []string{plain, "1,(17,164,5),[n1, n2]\n", "1,\"a\" b\n", "#x\n1,\"(1\n2)\";\n", ",,\n1,LF,n1,n2\n", "a,b\n1,-5\n", "\ufeff1,(1)\r,(2)"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f.csv", data)
		_, _ = ParseExpected("e.csv", data)
		if err != nil {
			if errs, ok := err.(Errors); !ok || len(errs) == 0 {
				t.Fatalf("error %v is not a list of errors", err)
			}
			return
		}
		known := map[int]bool{}
		for i := range file.Sets {
			s := &file.Sets[i]
			known[s.Line] = true
			for _, c := range s.Commands {
				known[c.Line] = true
				if c.Text == "" || c.Kind == 0 || c.Line < 1 || c.Column < 1 {
					t.Fatalf("incomplete command %+v", c)
				}
			}
			file.Check(s, topology.Default())
		}
		for _, w := range file.Warnings {
			line := 0
			if _, err := fmt.Sscanf(w, "f.csv:%d:", &line); err != nil {
				t.Fatalf("warning %q without a place", w)
			}
			known[line] = true
		}
		p := parser{noted: map[int]bool{}}
		for _, r := range p.prologue(readCells(data, &diagnostics{}, likely)) {
			found := false
			for line := r[0].Line; line <= r[len(r)-1].Line+strings.Count(r[len(r)-1].Text, "\n"); line++ {
				found = found || known[line]
			}
			_, numbered := setNumberOf(r[0].Text)
			if repeated := len(r) > 2 && slices.ContainsFunc(r[2:], isNodeList); !found && !numbered && !repeated {
				t.Fatalf("row on line %d was dropped: %v", r[0].Line, r)
			}
		}
		testFormat(t, file)
	})
}
