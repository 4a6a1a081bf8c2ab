package topologypb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

func TestRoundTrip(t *testing.T) {
	top := topology.Default()
	top.Balances = map[int64]int64{1001: 100, 7: 3, 8999: 0}
	top.Clusters[1].Nodes[2].Address = "127.0.0.1:7006"
	p := ToProto(top)
	data, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back pb.Topology
	if err := proto.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	got, err := FromProto(&back)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(top, got); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
	if got.Hash() != top.Hash() {
		t.Fatal("the fingerprint changed on the way")
	}
}

func TestFromProtoErrors(t *testing.T) {
	change := func(f func(*pb.Topology)) *pb.Topology {
		p := ToProto(topology.Default())
		f(p)
		return p
	}
	for _, c := range []struct {
		p    *pb.Topology
		want string
	}{
		{nil, "topology is missing"},
		{&pb.Topology{}, "no clusters"},
		{change(func(p *pb.Topology) { p.ItemMap = nil }), "no items"},
		{change(func(p *pb.Topology) { p.ItemMap.Ranges[0].Cluster = "c9" }), `items 1-3000 belong to cluster "c9"`},
		{change(func(p *pb.Topology) { p.Clusters[1].Id = "c1" }), "c2"},
		{change(func(p *pb.Topology) { p.Clusters[0].Nodes[0] = nil }), "has no id"},
		{change(func(p *pb.Topology) { p.ItemMap.Ranges[1] = nil }), `items 0-0 belong to cluster ""`},
		{change(func(p *pb.Topology) {
			p.Balances = []*pb.ItemBalance{{Item: 5, Balance: 1}, {Item: 5, Balance: 1}}
		}), "item 5 is given twice"},
		{change(func(p *pb.Topology) { p.Balances = []*pb.ItemBalance{{Item: 9001, Balance: 1}} }), "no cluster owns"},
	} {
		if _, err := FromProto(c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want %q", err, c.want)
		}
	}
}
