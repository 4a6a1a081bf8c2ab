package grade

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"paxbank/client/plan"
)

// hashInputs is over everything that a plan was read from, and which of its sets
// run.
func hashInputs(p *plan.Plan) string {
	sum := sha256.New()
	for _, in := range p.Inputs {
		fmt.Fprintf(sum, "%q %d\n", in.Name, len(in.Data))
		sum.Write(in.Data)
	}
	for i := range p.Sets {
		fmt.Fprintf(sum, "set %d on %x\n", p.Sets[i].Number, p.Sets[i].Topology.Hash())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// key is a hash over values that JSON can show.
func key(values ...any) string {
	data, err := json.Marshal(values)
	if err != nil {
		panic(err) // all of them are plain data
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// buildKey is over everything that decides what a build comes to.
func (s *Suite) buildKey(content string, c commands) (string, error) {
	sum := sha256.New()
	for _, name := range sortedKeys(s.Provide) {
		fmt.Fprintf(sum, "%q\n", name)
		if err := hashPath(sum, s.Provide[name]); err != nil {
			return "", fmt.Errorf("provide: %w", err)
		}
	}
	return key(content, c.Build, s.Env, hex.EncodeToString(sum.Sum(nil)), s.Limits), nil
}

// key is over everything that decides what the section's runs come to; what they
// are worth may be changed, and is counted anew from what is there.
func (s *Section) key(build string, c commands) string {
	return key(build, c.Node, hashInputs(s.plan), s.Deadline, s.Limit, s.Repeats, s.Order, s.Fault, s.Randomise)
}

// seedOf a run is drawn from the class's secret, so that nobody can foresee it
// and a run that is repeated is the same again.
func seedOf(secret []byte, submission, section string, run int) uint64 {
	sum := sign(secret, fmt.Sprintf("seed\x00%s\x00%s\x00%d", submission, section, run))
	return binary.BigEndian.Uint64(sum)
}
