package topologypb

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// What Configure may be sent: any bytes that are a Topology message either make
// a valid topology or an error, and a topology that was taken survives the way
// to a node's disk and back with the same fingerprint.
func FuzzFromProto(f *testing.F) {
	own := topology.Default()
	own.Balances = map[int64]int64{1001: 100, 3001: 0}
	for _, p := range []*pb.Topology{
		ToProto(topology.Default()),
		ToProto(own),
		{Clusters: []*pb.Cluster{{Id: "c1", Nodes: []*pb.Node{{Id: "n1"}}}},
			ItemMap: &pb.ItemMap{Ranges: []*pb.ItemRange{{FirstItem: 1, LastItem: 9, Cluster: "c1"}}}},
		{Clusters: []*pb.Cluster{nil, {Id: "c1"}}, ItemMap: &pb.ItemMap{Ranges: []*pb.ItemRange{nil, {FirstItem: 5, LastItem: 1, Cluster: "c1"}}}},
	} {
		data, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p pb.Topology
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		top, err := FromProto(&p)
		if err != nil {
			return
		}
		if err := top.Validate(); err != nil {
			t.Fatalf("an invalid topology was taken: %v", err)
		}
		again, err := FromProto(ToProto(top))
		if err != nil {
			t.Fatalf("a valid topology does not survive its protobuf form: %v", err)
		}
		if again.Hash() != top.Hash() {
			t.Fatalf("fingerprint %x became %x", top.Hash(), again.Hash())
		}
	})
}
