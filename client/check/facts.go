package check

import (
	"math"
	"slices"
	"sort"

	"paxbank/client/oracle"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// facts is a set's result, sorted for judging.
type facts struct {
	set    *runner.SetResult
	top    *topology.Topology
	quorum []bool // by cluster: a majority lives at the end
	// served is, by cluster, quorum and as many replicas that answered: a cluster
	// whose nodes died against the test set's will has a quorum on paper only.
	served []bool
	nodes  [][]*runner.NodeState // by cluster, in topology order
	// best is, by cluster with a quorum, a live and reachable replica that has
	// applied the most; nil where none can be asked.
	best []*runner.NodeState
	// doubt is, by cluster, what best has prepared and not decided.
	doubt []doubt
	// unknowns are the transfers whose outcome is not known.
	unknowns []*runner.Call
	// played is what the oracle made of the set, nil before it was asked and where
	// it could not; open are the commands, by position, that were given up, and
	// strict is what the oracle wants with none of them open.
	played *wanted
	open   map[int]bool
	strict *oracle.Expectation
	// byText and byLine are the positions of calls, made when they are first asked
	// for.
	byText map[string][]int
	byLine map[int][]int
}

// request names a transfer.
type request struct{ client, timestamp uint64 }

func requestOf(c *runner.Call) request { return request{c.ClientID, c.Timestamp} }

// doubt is what a replica holds prepared: changes that show in its balances and
// that may still be undone.
type doubt struct {
	rows []runner.LogRow
	// delta is what the rows changed of each item's balance.
	delta    map[int64]int64
	requests map[request]bool
	// complete: the rows found in the log are as many as the node says it holds.
	complete bool
}

func gather(set *runner.SetResult) *facts {
	f := &facts{set: set, top: set.Topology}
	n := len(f.top.Clusters)
	f.quorum, f.nodes = make([]bool, n), make([][]*runner.NodeState, n)
	f.served = make([]bool, n)
	f.best, f.doubt = make([]*runner.NodeState, n), make([]doubt, n)
	for c := range f.top.Clusters {
		f.quorum[c] = slices.Contains(set.QuorumAtEnd, f.top.Clusters[c].ID)
	}
	for i := range set.Nodes {
		s := &set.Nodes[i]
		if _, c, ok := f.top.Lookup(s.ID); ok {
			f.nodes[c] = append(f.nodes[c], s)
		}
	}
	for c := range f.nodes {
		f.served[c] = f.quorum[c] && len(f.asked(c)) > len(f.top.Clusters[c].Nodes)/2
		for _, s := range f.nodes[c] {
			if f.quorum[c] && f.isLive(s) && usable(s) && (f.best[c] == nil || s.AppliedIndex > f.best[c].AppliedIndex) {
				f.best[c] = s
			}
		}
		if f.best[c] != nil {
			f.doubt[c] = inDoubt(f.best[c])
		}
	}
	for i := range set.Calls {
		c := &set.Calls[i]
		if c.Kind != "read" && !c.Outcome.Definite() {
			f.unknowns = append(f.unknowns, c)
		}
	}
	return f
}

// carried are the changes of single items that transfers of earlier sets may make
// in this one: bring or take what was not there yet when it began, or give back or
// take back what was there and is undone.
func (f *facts) carried() (list []carriedChange) {
	for i := range f.set.Carried {
		c := &f.set.Carried[i]
		for _, item := range itemsOf(c) {
			list = append(list, carriedChange{c, item, c.Command.Amount}, carriedChange{c, item, -c.Command.Amount})
		}
	}
	return list
}

// carriedChange is one of them.
type carriedChange struct {
	call         *runner.Call
	item, change int64
}

// mayStart are the items of which carried changes leave open what they hold.
func (f *facts) mayStart() map[int64]oracle.Values {
	may := map[int64]oracle.Values{}
	for _, x := range f.carried() {
		v, known := may[x.item]
		if !known {
			v = oracle.Values{Lo: f.initial(x.item), Hi: f.initial(x.item)}
		}
		v.Lo = max(v.Lo+min(x.change, 0), 0)
		if most := v.Hi + max(x.change, 0); most >= v.Hi {
			v.Hi = most
		} else {
			v.Hi = math.MaxInt64
		}
		may[x.item] = v
	}
	return may
}

// callsOf are the positions of the calls that an expectation of outcomes or values
// speaks of. Without a look at all calls for each row, thousands of rows take no
// time.
func (f *facts) callsOf(e *testset.Expectation) []int {
	if f.byText == nil {
		f.byText, f.byLine = map[string][]int{}, map[int][]int{}
		for i := range f.set.Calls {
			c := &f.set.Calls[i].Command
			f.byText[c.Text], f.byLine[c.Line] = append(f.byText[c.Text], i), append(f.byLine[c.Line], i)
		}
	}
	var candidates []int
	switch {
	case e.TargetAll:
		for i := range f.set.Calls {
			candidates = append(candidates, i)
		}
	case e.TargetLine > 0:
		candidates = f.byLine[e.TargetLine]
	default:
		candidates = f.byText[e.Target]
	}
	var out []int
	for _, i := range candidates {
		if e.Matches(f.set.Calls[i].Command) {
			out = append(out, i)
		}
	}
	return out
}

func (f *facts) isLive(s *runner.NodeState) bool { return slices.Contains(f.set.LiveAtEnd, s.ID) }

// usable reports whether what the node holds is known, all of it.
func usable(s *runner.NodeState) bool { return s.Reachable && s.Err == "" }

// asked returns the live replicas of a cluster that answered.
func (f *facts) asked(c int) []*runner.NodeState {
	var out []*runner.NodeState
	for _, s := range f.nodes[c] {
		if f.isLive(s) && usable(s) {
			out = append(out, s)
		}
	}
	return out
}

// initial is what item held when the set began.
func (f *facts) initial(item int64) int64 {
	if b, ok := f.set.StartBalances[item]; ok {
		return b
	}
	return f.top.Balance(item)
}

// balance is what a replica says of an item. Items that nobody ever modified
// are not listed.
func (f *facts) balance(s *runner.NodeState, item int64) int64 {
	if b, ok := s.Balances[item]; ok {
		return b
	}
	return f.top.Balance(item)
}

func (f *facts) cluster(item int64) (int, bool) { return f.top.Items.Cluster(item) }

// inDoubt finds the prepared rows of a replica: (seq, P) applied with effect and
// no (seq, C) or (seq, A) yet.
func inDoubt(s *runner.NodeState) doubt {
	d := doubt{delta: map[int64]int64{}, requests: map[request]bool{}}
	decided := map[uint64]bool{}
	for i := range s.Log {
		if r := &s.Log[i]; r.Status == "E" && effective(r.Effect) && (r.Phase == "C" || r.Phase == "A") {
			decided[r.Seq] = true
		}
	}
	for i := range s.Log {
		r := &s.Log[i]
		if r.Phase != "P" || r.Status != "E" || decided[r.Seq] || !effective(r.Effect) {
			continue
		}
		d.rows = append(d.rows, *r)
		d.requests[request{r.ClientID, r.Timestamp}] = true
		if r.Role == "coordinator" {
			d.delta[r.From] -= r.Amount
		} else {
			d.delta[r.To] += r.Amount
		}
	}
	d.complete = len(d.rows) == s.Prepared
	return d
}

// effective reports whether an executed entry changed something: other effects
// are refusals and void entries. A node that tells no effect is believed to have
// applied what it executed.
func effective(effect string) bool {
	return effect == "applied" || effect == "prepared" || effect == ""
}

// items returns all items that calls or replicas speak of, ascending.
func (f *facts) items() []int64 {
	seen := map[int64]bool{}
	for i := range f.set.Calls {
		if c := &f.set.Calls[i].Command; f.set.Calls[i].Kind != "read" {
			seen[c.From], seen[c.To] = true, true
		}
	}
	for _, s := range f.best {
		if s != nil {
			for item := range s.Balances {
				seen[item] = true
			}
		}
	}
	out := make([]int64, 0, len(seen))
	for item := range seen {
		if _, ok := f.cluster(item); ok {
			out = append(out, item)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}
