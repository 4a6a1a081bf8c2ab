package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The committed file is what the generator writes.
func TestCommittedFileIsUpToDate(t *testing.T) {
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "..", "testsets", "bulk-30000.csv")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("testsets/bulk-30000.csv differs from the generator's output; run: go run ./internal/gen/bulk > testsets/bulk-30000.csv")
	}
}

// Every transfer commits in any order: nobody sends more than it starts with,
// no transfer leaves its cluster, and no item occurs twice in a layer.
func TestEveryTransferCanCommitInAnyOrder(t *testing.T) {
	const initial = 10
	for c := range clusters {
		sent := map[int]int{}
		inLayer := map[int]bool{}
		for k := range perCluster {
			if k%half == 0 {
				clear(inLayer)
			}
			from, to, amount := transfer(c, k)
			for _, item := range []int{from, to} {
				if item <= c*items || item > (c+1)*items {
					t.Fatalf("cluster %d, transfer %d: item %d is not the cluster's", c+1, k, item)
				}
				if inLayer[item] {
					t.Fatalf("cluster %d, transfer %d: item %d occurs twice in a layer", c+1, k, item)
				}
				inLayer[item] = true
			}
			if sent[from] += amount; sent[from] > initial {
				t.Fatalf("cluster %d, transfer %d: item %d sends %d in total, more than %d", c+1, k, from, sent[from], initial)
			}
		}
	}
}
