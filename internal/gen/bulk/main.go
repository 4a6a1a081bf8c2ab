// Command bulk writes testsets/bulk-30000.csv: one set of 30,000 intra-shard
// transfers on the built-in 3×3×9000 bank, all of which commit whatever their
// order.
//
//	go run ./internal/gen/bulk > testsets/bulk-30000.csv
//
// Each cluster's 3000 items form a lower and an upper half of 1500. A layer
// pairs every item of one half with one of the other, so no item occurs twice
// in a layer and a driver that keeps conflicting commands apart is never made
// to wait for a chain longer than the number of layers. Even layers pay from
// the lower half to the upper one, odd layers back. The amounts of the layers
// are chosen so that no item sends more than the 10 it starts with: no order of
// the transfers can overdraw it.
//
// The first six layers pay back what they took, so they leave every item at 10.
// Only the last, incomplete layer shows in the balances: its senders end at 6,
// its receivers at 14. The expected file is derived from that.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

const (
	clusters   = 3
	perCluster = 10_000 // transfers
	items      = 3000   // a cluster's
	half       = items / 2
	// shift turns the pairing from layer to layer.
	shift = 37
)

// amounts of the layers. Lower halves send in layers 0, 2, 4, 6: 1+2+3+4 = 10;
// upper halves in 1, 3, 5: 1+2+3.
var amounts = [...]int{1, 1, 2, 2, 3, 3, 4}

// transfer returns the k-th transfer of cluster c.
func transfer(c, k int) (from, to, amount int) {
	layer, i := k/half, k%half
	lower := c*items + 1 + i
	upper := c*items + 1 + half + (i+shift*layer)%half
	if layer%2 == 0 {
		return lower, upper, amounts[layer]
	}
	return upper, lower, amounts[layer]
}

func write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "Set Number,Transactions,Live Nodes")
	set, live := "1", `"[n1, n2, n3, n4, n5, n6, n7, n8, n9]"`
	for k := range perCluster {
		for c := range clusters {
			from, to, amount := transfer(c, k)
			fmt.Fprintf(b, "%s,\"(%d, %d, %d)\",%s\n", set, from, to, amount, live)
			set, live = "", ""
		}
	}
	return b.Flush()
}

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bulk:", err)
		os.Exit(1)
	}
}
