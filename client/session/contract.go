package session

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	pb "paxbank/proto/paxbank/v1"
)

// maxViolations of different kinds are kept; a bank that breaks its contract in
// more ways is known well enough.
const maxViolations = 64

// Violation is something that a node answered and that docs/protocol.md rules
// out, whatever the state of the bank. Late answers and errors are none: those
// the contract allows.
type Violation struct {
	Node, Call, Field string
	Got               string // of the first such answer
	Rule              string // what the contract says of Field
	Count             int    // such answers
	// Client and Timestamp name the request that the first such answer belongs to;
	// zero for reads, and where the answer names none that was sent.
	Client, Timestamp uint64
}

// violations gathers what nodes answered against the contract.
type violations struct {
	mu   sync.Mutex
	list []Violation
}

// note counts one violation. Those of one node, call, field and rule are one kind.
func (v *violations) note(found Violation) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.list {
		if k := &v.list[i]; k.Node == found.Node && k.Call == found.Call && k.Field == found.Field && k.Rule == found.Rule {
			k.Count++
			return
		}
	}
	if len(v.list) < maxViolations {
		found.Count = 1
		v.list = append(v.list, found)
	}
}

// Violations are what the nodes answered against the contract since the last
// time this was asked, by node, call and field; nil when nothing was.
func (n *Nodes) Violations() []Violation {
	n.broken.mu.Lock()
	defer n.broken.mu.Unlock()
	list := n.broken.list
	n.broken.list = nil
	slices.SortFunc(list, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Call, b.Call), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Rule, b.Rule))
	})
	return list
}

// The names of the calls that are looked at.
const (
	callSubmit  = "Submit"
	callStream  = "SubmitStream"
	callRead    = "Read"
	callResolve = "Resolve"
)

// misresults are the results that an answer may not carry, by call, besides
// RESULT_UNSPECIFIED and numbers that mean nothing.
var misresults = map[string][]pb.Result{
	callRead: {pb.Result_RESULT_INSUFFICIENT_FUNDS, pb.Result_RESULT_ABORTED},
}

// inspect looks at one answer to request (client, timestamp), zero for a read.
func (l *link) inspect(call string, a *answer, client, timestamp uint64) {
	note := func(field, got, rule string) {
		l.broken.note(Violation{Node: l.id, Call: call, Field: field, Got: got, Rule: rule, Client: client, Timestamp: timestamp})
	}
	_, known := pb.Result_name[int32(a.result)]
	switch {
	case a.result == pb.Result_RESULT_UNSPECIFIED:
		note("result", a.result.String(), "an answer says what became of the request; RESULT_UNSPECIFIED is never sent")
	case !known:
		note("result", fmt.Sprint(int32(a.result)), "an answer carries one of the results of the contract")
	case slices.Contains(misresults[call], a.result):
		note("result", a.result.String(), "a read comes to RESULT_COMMITTED, RESULT_UNAVAILABLE, RESULT_INVALID, RESULT_NOT_LEADER or RESULT_WRONG_EPOCH")
	}
	if a.success && a.result != pb.Result_RESULT_COMMITTED {
		note("success", fmt.Sprintf("true with %s", a.result), "success is true exactly when result is RESULT_COMMITTED")
	}
	if a.leader != "" && a.result == pb.Result_RESULT_NOT_LEADER && !l.exists(a.leader) {
		note("leader", fmt.Sprintf("%.40q", a.leader), "leader is the id of a node of the topology, or empty when none is known")
	}
}

// misnamed notes an answer to a request that this node was not sent.
func (l *link) misnamed(call string, got, sent name) {
	text := fmt.Sprintf("client_id %d, timestamp %d", got.client, got.timestamp)
	if sent != (name{}) {
		text += fmt.Sprintf(" for client_id %d, timestamp %d", sent.client, sent.timestamp)
	}
	l.broken.note(Violation{Node: l.id, Call: call, Field: "client_id, timestamp", Got: text,
		Rule: "an answer names the request that it belongs to", Client: sent.client, Timestamp: sent.timestamp})
}

// garbled notes an answer that is no message of the contract. gRPC tells it only
// by the words of its error.
func (l *link) garbled(call string, err error) {
	if strings.Contains(err.Error(), "failed to unmarshal the received message") {
		l.broken.note(Violation{Node: l.id, Call: call, Field: "message", Got: "bytes that cannot be decoded",
			Rule: "an answer is a message of proto/paxbank/v1"})
	}
}
