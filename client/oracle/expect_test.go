package oracle

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// small is a set on a bank of 3 clusters of 3 nodes with items 1-10, 11-20,
// 21-30 at 10 each, from commands one a line.
func small(t testing.TB, live []string, commands ...string) (*testset.Set, *topology.Topology) {
	t.Helper()
	top, err := topology.Uniform(3, 3, 30, 10)
	if err != nil {
		t.Fatal(err)
	}
	var csv strings.Builder
	for i, c := range commands {
		first := ""
		if i == 0 {
			first = "1"
		}
		fmt.Fprintf(&csv, "%s,%q,\n", first, c)
	}
	file, err := testset.Parse("t.csv", []byte(csv.String()))
	if err != nil {
		t.Fatal(err)
	}
	file.Sets[0].Live = live
	return &file.Sets[0], top
}

func words(x Expected) string {
	out := make([]string, len(x.Outcomes))
	for i, o := range x.Outcomes {
		if out[i] = string(o); o == Value {
			out[i] += " " + x.Values.String()
		}
	}
	return strings.Join(out, "|")
}

func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name     string
		opt      Options
		live     []string
		commands []string
		want     []string // by command, "" for a marker
		why      string   // a part of why the last command comes to that
	}{
		{"plain", Options{}, nil, []string{"(1, 2, 3)", "(1)", "(1, 11, 8)", "(1, 11, 7)", "(3, 3, 1)"},
			[]string{"committed", "value 7", "insufficient_funds", "committed", "invalid"}, "it goes to the item it comes from"},
		{"money first, then the receiver", Options{}, nil, []string{"F(n4)", "F(n5)", "(1, 11, 11)", "(1, 11, 10)", "(1, 2, 10)", "(11, 12, 1)", "(11)"},
			[]string{"", "", "insufficient_funds", "aborted", "committed", "unavailable", "unavailable"}, "c2 has no quorum: n4 and n5 failed at lines 1 and 2"},
		{"too little money says so", Options{}, nil, []string{"(1, 11, 11)"}, []string{"insufficient_funds"}, "item 1 holds 10 when its turn comes"},
		{"abort names the cluster", Options{}, []string{"n1", "n2", "n3", "n4"}, []string{"(1, 11, 4)"}, []string{"aborted"},
			"c2 has no quorum: n5 and n6 were not live from the start, so two-phase commit undoes it"},
		{"malformed without a quorum", Options{}, []string{"n4"}, []string{"(1, 1, 1)"}, []string{"unavailable|invalid"}, "may be refused by anybody"},
		{"marker on a failed node", Options{}, nil, []string{"F(n1)", "F(n1)", "R(n1)", "R(n1)", "F(n2)", "(1)"}, []string{"", "", "", "", "", "value 10"}, ""},
		{"free order", Options{Order: Free}, nil, []string{"(1, 2, 8)", "(1, 3, 8)", "(4, 1, 2)", "(1)"},
			[]string{"committed|insufficient_funds", "committed|insufficient_funds", "committed", "value 2, 4, 10 or 12"}, "commands of the batch"},
		{"free order, both have the money", Options{Order: Free}, nil, []string{"(1, 2, 8)", "(1, 3, 2)", "(2, 1, 19)"},
			[]string{"committed", "committed", "insufficient_funds"}, "item 2 holds 10 to 18 when its turn comes"},
		{"free order is one again after the batch", Options{Order: Free}, nil, []string{"(1, 2, 8)", "(2, 1, 1)", "F(n9)", "(1)"}, []string{"committed", "committed", "", "value 3"}, ""},
		{"free order, what hangs together", Options{Order: Free}, nil, []string{"(1, 2, 8)", "(1, 3, 8)", "F(n9)", "(2)", "(2, 3, 18)", "(3, 2, 18)"},
			[]string{"committed|insufficient_funds", "committed|insufficient_funds", "", "value 0, 10, 18 or 28", "committed|insufficient_funds", "committed|insufficient_funds"}, ""},
		{"given up", Options{Open: map[int]bool{0: true}}, nil, []string{"(1, 2, 8)", "(1, 3, 8)", "(2)", "(3, 4, 10)"},
			[]string{"committed|insufficient_funds|aborted|unavailable|invalid|unknown", "committed|insufficient_funds", "value 10 to 18", "committed"}, ""},
		{"given up and late", Options{Open: map[int]bool{0: true}}, nil, []string{"(1, 2, 10)", "(1, 3, 5)", "(4, 1, 9)", "(1)"},
			[]string{"committed|insufficient_funds|aborted|unavailable|invalid|unknown", "committed|insufficient_funds", "committed", "value 4 to 19"}, ""},
		{"given-up read", Options{Open: map[int]bool{0: true}}, nil, []string{"(1)", "(1)"}, []string{"value 10|unavailable|unknown", "value 10"}, ""},
		{"kept balances", Options{Start: map[int64]int64{1: 3}, Kept: true}, nil, []string{"(1, 2, 4)", "(1)"}, []string{"insufficient_funds", "value 3"}, ""},
		{"second LF leaves one node", Options{}, nil, []string{"LF(c1)", "LF(c1)", "(1)"}, []string{"", "", "unavailable"}, "c1 has no quorum: 2 of its 3 nodes are not live"},
		{"F of a node that LF may have struck", Options{}, nil, []string{"F(n1)", "R(n1)", "LF(c1)", "F(n2)", "(1)"}, []string{"", "", "", "", "value 10|unavailable"}, "whom LF struck is not known"},
		{"F of a node that LF did strike", Options{Victims: map[int][]string{2: {"n2"}}}, nil, []string{"F(n1)", "R(n1)", "LF(c1)", "F(n2)", "(1)"}, []string{"", "", "", "", "value 10"}, ""},
		{"LF that found nobody", Options{Victims: map[int][]string{0: nil}}, nil, []string{"LF(c1)", "F(n2)", "(1)"}, []string{"", "", "value 10"}, ""},
		{"course: a lock outlives its answer", Options{Semantics: Course}, nil, []string{"(1, 11, 4)", "(11, 12, 1)", "(2, 3, 1)", "(1)"},
			[]string{"committed", "committed|aborted", "committed", "value 6"}, ""},
		{"course: not across a marker", Options{Semantics: Course}, nil, []string{"(1, 11, 4)", "R(n1)", "(11, 12, 1)"}, []string{"committed", "", "committed"}, ""},
		{"course: consequences of a skipped transfer", Options{Semantics: Course}, nil, []string{"(1, 11, 4)", "(11, 12, 14)", "(12, 13, 24)", "(12)", "(13)"},
			[]string{"committed", "committed|aborted", "committed|insufficient_funds", "value 0 or 10", "value 10 or 34"}, ""},
		{"course: reads without a quorum", Options{Semantics: Course}, nil, []string{"(1, 2, 3)", "F(n2)", "F(n3)", "(1)", "(1, 2, 1)"},
			[]string{"committed", "", "", "value 7|unavailable", "unavailable"}, ""},
		{"course: either refusal", Options{Semantics: Course}, []string{"n1", "n2", "n4"}, []string{"(1, 11, 11)", "(1, 11, 10)"}, []string{"insufficient_funds|aborted", "aborted"}, "c2 has no quorum"},
		{"course: an unused cluster may have no leader", Options{Semantics: Course}, nil, []string{"LF(c1)", "F(n2)", "(1)"}, []string{"", "", "value 10|unavailable"}, ""},
		{"course: a used one has", Options{Semantics: Course}, nil, []string{"(1)", "LF(c1)", "F(n2)", "(1)"}, []string{"value 10", "", "", "value 10|unavailable"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, top := small(t, tc.live, tc.commands...)
			e := expect(t, set, top, tc.opt)
			for i := range set.Commands {
				if got := words(e.Commands[i]); got != tc.want[i] {
					t.Errorf("%s: got %s, want %s", set.Commands[i].Text, got, tc.want[i])
				}
			}
			if why := e.Why(len(set.Commands) - 1); !strings.Contains(why, tc.why) {
				t.Errorf("why: %q lacks %q", why, tc.why)
			}
		})
	}
}

func TestBalances(t *testing.T) {
	for _, tc := range []struct {
		name     string
		opt      Options
		live     []string
		commands []string
		want     map[string]string // "item@node" → values
		why      map[string]string // node → part of WhyBalance
	}{
		{"failed nodes keep what they held", Options{}, nil, []string{"(1, 2, 3)", "F(n3)", "(1, 2, 1)", "F(n2)", "(1, 2, 1)"},
			map[string]string{"1@n1": "6", "1@n2": "6", "1@n3": "7", "2@n3": "13"},
			map[string]string{"n3": "n3 failed at line 2 and keeps what it held", "n1": "c1 has no quorum: n2 and n3 failed at lines 4 and 2, so n1 holds what it held before"}},
		{"who returns has everything", Options{}, nil, []string{"F(n3)", "(1, 2, 3)", "R(n3)"}, map[string]string{"1@n3": "7"}, map[string]string{"n3": "n3 is live and c1 has a quorum, so it has applied everything"}},
		{"who returns without a quorum", Options{}, nil, []string{"F(n3)", "(1, 2, 3)", "F(n2)", "F(n1)", "R(n3)", "R(n1)"}, map[string]string{"1@n3": "7", "1@n1": "7"}, nil},
		{"who returns to one without", Options{}, nil, []string{"F(n3)", "(1, 2, 3)", "F(n2)", "F(n1)", "R(n3)"}, map[string]string{"1@n3": "10", "1@n2": "7"}, nil},
		{"never live", Options{}, []string{"n1", "n2"}, []string{"(1, 2, 3)"}, map[string]string{"1@n3": "10"}, map[string]string{"n3": "n3 was never live"}},
		{"LF strikes the first live node", Options{}, []string{"n2", "n3", "n4", "n5", "n6"}, []string{"R(n1)", "LF(c1)", "(1, 2, 3)"}, map[string]string{"1@n2": "10", "1@n1": "7"}, nil},
		{"whom the second LF strikes is open", Options{}, nil, []string{"LF(c1)", "R(n1)", "LF(c1)", "(1, 2, 3)"}, map[string]string{"1@n1": "7 or 10", "1@n2": "7 or 10", "1@n3": "7 or 10"},
			map[string]string{"n2": "whom LF struck is not known"}},
		{"until somebody saw it", Options{Victims: map[int][]string{0: {"n1"}, 2: {"n3"}}}, nil, []string{"LF(c1)", "R(n1)", "LF(c1)", "(1, 2, 3)"}, map[string]string{"1@n1": "7", "1@n2": "7", "1@n3": "10"}, nil},
		{"a killed disk may lag", Options{DiskLags: true}, nil, []string{"(1, 2, 3)", "(1, 2, 1)", "F(n3)", "(1, 2, 1)"}, map[string]string{"1@n1": "5", "1@n3": "6 to 10", "2@n3": "10 to 14"}, nil},
		{"kept and not live", Options{Kept: true}, []string{"n1", "n2", "n4"}, []string{"(1, 2, 3)"}, map[string]string{"1@n1": "7", "1@n3": "?", "11@n4": "?"}, nil},
		{"given up", Options{Open: map[int]bool{0: true}}, nil, []string{"(1, 2, 3)", "F(n3)", "(2, 1, 1)"}, map[string]string{"1@n3": "7 to 10", "1@n1": "8 to 11", "2@n2": "9 to 12"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, top := small(t, tc.live, tc.commands...)
			e := expect(t, set, top, tc.opt)
			for target, want := range tc.want {
				item, node, _ := strings.Cut(target, "@")
				number, err := strconv.ParseInt(item, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				got := "?"
				if v, known := e.Balance(node, number); known {
					got = v.String()
				}
				if got != want {
					t.Errorf("%s: got %s, want %s", target, got, want)
				}
			}
			for node, part := range tc.why {
				if why := e.WhyBalance(node); !strings.Contains(why, part) {
					t.Errorf("%s: %q lacks %q", node, why, part)
				}
			}
		})
	}
}

// Five nodes without a quorum: who returns may learn from who is there.
func TestReturnWithoutQuorum(t *testing.T) {
	top, err := topology.Uniform(1, 5, 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	file, err := testset.Parse("t.csv", []byte("1,F(n5),\n,\"(1, 2, 3)\",\n,\"(1, 2, 2)\",\n,F(n1),\n,F(n2),\n,F(n3),\n,R(n5),\n"))
	if err != nil {
		t.Fatal(err)
	}
	e := expect(t, &file.Sets[0], top, Options{})
	for node, want := range map[string]string{"n1": "5", "n4": "5", "n5": "5 to 10"} {
		if v, _ := e.Balance(node, 1); v.String() != want {
			t.Errorf("%s: got %s, want %s", node, v, want)
		}
	}
}

// Too many possible victims: everything is allowed, nothing goes wrong.
func TestManyVictims(t *testing.T) {
	top, err := topology.Uniform(1, 15, 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	csv := "1,LF,\n" + strings.Repeat(",\"(1, 2, 1)\",\n,LF,\n", 6) + ",(1),\n"
	file, err := testset.Parse("t.csv", []byte(csv))
	if err != nil {
		t.Fatal(err)
	}
	e := expect(t, &file.Sets[0], top, Options{})
	if last := e.Commands[len(e.Commands)-1]; !last.Allows(Value, 4) || !last.Allows(Unavailable, 0) || last.Allows(Value, 11) {
		t.Errorf("the last read: %s", words(last))
	}
	if v, known := e.Balance("n9", 1); !known || !v.Contains(10) || !v.Contains(4) || v.Contains(3) {
		t.Errorf("n9: %v", v)
	}
}

// Several courses of quorums are played one by one as long as they are few.
func TestCombinedVictims(t *testing.T) {
	var commands []string
	for c := range 3 {
		first := 3*c + 1
		commands = append(commands, fmt.Sprintf("F(n%d)", first), fmt.Sprintf("R(n%d)", first))
	}
	commands = append(commands, "LF", "F(n2)", "F(n5)", "(1, 11, 4)", "(11)")
	set, top := small(t, nil, commands...)
	e := expect(t, set, top, Options{})
	n := len(e.Commands)
	if got := words(e.Commands[n-2]) + " " + words(e.Commands[n-1]); got != "committed|aborted|unavailable value 10 or 14|unavailable" {
		t.Errorf("got %s", got)
	}
}

func TestUnknownOptions(t *testing.T) {
	set, top := small(t, nil, "(1)")
	for _, opt := range []Options{{Order: "random"}, {Semantics: "lax"}} {
		if _, err := Expect(set, top, opt); err == nil {
			t.Errorf("%+v was accepted", opt)
		}
	}
}
