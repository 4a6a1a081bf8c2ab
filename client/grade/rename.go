package grade

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/plan"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// disguise is how one run of a test set differs from the file: the items of each
// cluster are permuted among themselves and the sets run in another order, so
// that nobody passes by knowing the file. Who owns an item, which commands share
// one and what every item holds at the start stay the same, and so does what may
// come of the sets.
type disguise struct {
	plan     *plan.Plan // as it is run
	original map[int]*plan.Set
	renamed  map[int]*permutation // by set
}

// permutation of the items of one topology.
type permutation struct {
	topology    *topology.Topology // with the balances and names of permuted items
	there, back map[int64]int64
}

// newDisguise decides by the seed alone. Without randomise it is none: the plan
// is run as it is.
func newDisguise(p *plan.Plan, randomise bool, seed uint64) *disguise {
	d := &disguise{original: map[int]*plan.Set{}, renamed: map[int]*permutation{}}
	run := *p
	run.Sets = slices.Clone(p.Sets)
	d.plan = &run
	random := rand.New(rand.NewPCG(seed, 0))
	byTopology := map[*topology.Topology]*permutation{}
	for i := range p.Sets {
		set := &p.Sets[i]
		d.original[set.Number] = set
		if !randomise {
			continue
		}
		perm := byTopology[set.Topology]
		if perm == nil {
			perm = permute(set.Topology, random)
			byTopology[set.Topology] = perm
		}
		d.renamed[set.Number] = perm
		run.Sets[i] = perm.set(set)
	}
	if randomise {
		random.Shuffle(len(run.Sets), func(i, j int) { run.Sets[i], run.Sets[j] = run.Sets[j], run.Sets[i] })
	}
	return d
}

// permute draws a permutation of the items of every cluster.
func permute(t *topology.Topology, random *rand.Rand) *permutation {
	p := &permutation{there: map[int64]int64{}, back: map[int64]int64{}}
	for c := range t.Clusters {
		var own []int64
		for _, r := range t.Items.Ranges {
			for item := r.First; r.Cluster == c && item <= r.Last; item++ {
				own = append(own, item)
			}
		}
		to := slices.Clone(own)
		random.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
		for i, item := range own {
			p.there[item], p.back[to[i]] = to[i], item
		}
	}
	renamed := *t
	renamed.Balances = p.keys(t.Balances)
	if t.ItemNames != nil {
		renamed.ItemNames = make(map[int64]string, len(t.ItemNames))
		for item, name := range t.ItemNames {
			renamed.ItemNames[p.there[item]] = name
		}
	}
	p.topology = &renamed
	return p
}

func (p *permutation) keys(balances map[int64]int64) map[int64]int64 {
	return renameKeys(balances, p.there)
}

func renameKeys(balances, names map[int64]int64) map[int64]int64 {
	if balances == nil {
		return nil
	}
	renamed := make(map[int64]int64, len(balances))
	for item, b := range balances {
		renamed[rename(names, item)] = b
	}
	return renamed
}

// rename leaves alone what no cluster owns: nodes may say anything.
func rename(names map[int64]int64, item int64) int64 {
	if to, ok := names[item]; ok {
		return to
	}
	return item
}

// set is a set as it is run.
func (p *permutation) set(s *plan.Set) plan.Set {
	renamed := *s
	renamed.Topology = p.topology
	renamed.Commands = slices.Clone(s.Commands)
	for i := range renamed.Commands {
		c := &renamed.Commands[i]
		switch c.Kind {
		case testset.Transfer:
			c.From, c.To = p.there[c.From], p.there[c.To]
			c.Text = transferText(p.topology, c.From, c.To, c.Amount)
		case testset.Read:
			c.Item = p.there[c.Item]
			c.Text = fmt.Sprintf("(%s)", p.topology.ItemName(c.Item))
		}
	}
	return renamed
}

func transferText(t *topology.Topology, from, to, amount int64) string {
	return fmt.Sprintf("(%s, %s, %d)", t.ItemName(from), t.ItemName(to), amount)
}

// reveal turns what a set came to back into the items of the file: everything
// that staff read speaks of those. What nodes said in their own words stays as it
// is.
func (d *disguise) reveal(r *runner.SetResult) runner.SetResult {
	out := *r
	set := d.original[r.Set.Number]
	out.Set, out.Topology = set.Set, set.Topology
	perm := d.renamed[r.Set.Number]
	if perm == nil {
		out.Topology = r.Topology // with the addresses
		return out
	}
	perm.calls(&out, set)
	out.StartBalances = renameKeys(r.StartBalances, perm.back)
	out.Nodes = slices.Clone(r.Nodes)
	for i := range out.Nodes {
		n := &out.Nodes[i]
		n.Balances = renameKeys(n.Balances, perm.back)
		n.Log = perm.log(n.Log, set.Topology)
		n.Statuses = slices.Clone(n.Statuses)
		n.LockTable = slices.Clone(n.LockTable)
		for j := range n.Statuses {
			n.Statuses[j].Text = perm.text(n.Statuses[j].Text, set.Topology)
		}
		for j := range n.LockTable {
			n.LockTable[j].Item = rename(perm.back, n.LockTable[j].Item)
		}
	}
	out.Views = slices.Clone(r.Views)
	for i := range out.Views {
		out.Views[i].Entries = perm.log(out.Views[i].Entries, set.Topology)
	}
	out.Audit = slices.Clone(r.Audit)
	for i := range out.Audit {
		out.Audit[i].Item = rename(perm.back, out.Audit[i].Item)
	}
	slices.SortFunc(out.Audit, func(a, b runner.AuditRead) int { return int(a.Item - b.Item) })
	return out
}

// calls gives every call the command that stands in the file where its own does.
func (p *permutation) calls(out *runner.SetResult, set *plan.Set) {
	type place struct{ line, column int }
	at := make(map[place]testset.Command, len(set.Commands))
	for _, c := range set.Commands {
		at[place{c.Line, c.Column}] = c
	}
	out.Calls = slices.Clone(out.Calls)
	for i := range out.Calls {
		c := &out.Calls[i].Command
		*c = at[place{c.Line, c.Column}]
	}
}

func (p *permutation) log(rows []runner.LogRow, t *topology.Topology) []runner.LogRow {
	rows = slices.Clone(rows)
	for i := range rows {
		r := &rows[i]
		if r.From == 0 && r.To == 0 {
			continue // no transfer
		}
		r.From, r.To = rename(p.back, r.From), rename(p.back, r.To)
		r.Text = transferText(t, r.From, r.To, r.Amount)
	}
	return rows
}

// text turns the text of a transfer back. Names of items are the same on both
// sides.
func (p *permutation) text(text string, t *topology.Topology) string {
	words := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, "("), ")"), ", ")
	if len(words) != 3 {
		return text
	}
	for i := range 2 {
		if item, err := strconv.ParseInt(words[i], 10, 64); err == nil {
			words[i] = t.ItemName(rename(p.back, item))
		}
	}
	return "(" + strings.Join(words, ", ") + ")"
}
