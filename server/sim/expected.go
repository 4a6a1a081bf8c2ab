package sim

// Expected lists, as "group: name", what a campaign of a few thousand seeds has to
// meet: every fault, every fate of unsynced writes, everything that happens at the
// bounds of the log, every message, every row of "Losing nodes in the middle",
// every reason for a refusal and every branch of wait-die. What nothing can bring
// about is in notReached, with the reason.
func Expected() []string {
	var all []string
	add := func(group string, names ...string) {
		for _, n := range names {
			all = append(all, group+": "+n)
		}
	}
	add("fault", Faults()...)
	add("fault", "restart", "rift with company")
	for _, m := range momentous {
		add("fault", "crash after "+m)
	}
	add("disk", crashFates...)
	add("bound", bounds...)
	add("history", "explained")
	add("network", "lost", "duplicated", "echoed", "haunted", "nobody there", "other epoch")
	add("message", "PreVote", "PreVoteReply", "Prepare", "Promise", "Reject", "NEW-VIEW", "Accept", "Accepted", "Commit",
		"Heartbeat", "HeartbeatReply", "Fetch", "CatchUp", "CheckpointChunk",
		"TwoPCPrepareRequest", "TwoPCPrepareReply", "TwoPCCommitRequest", "TwoPCCommitReply",
		"TwoPCAbortRequest", "TwoPCAbortReply", "TwoPCInquiryRequest", "TwoPCInquiryReply", "LeaderAnnouncement")
	add("lost", rows...)
	add("vote", "yes", "conflict", "not leader", "no quorum", "queue full", "waiting")
	add("abort", "conflict", "no quorum", "timeout", "insufficient funds", "queue full")
	add("inquiry", "commit", "abort", "pending", "not leader")
	add("wait-die", waitDieBranches...)
	add("refusal", refusals...)
	add("entry", "intra applied", "intra insufficient_funds", "intra fenced",
		"coordinator P prepared", "coordinator P insufficient_funds", "coordinator P fenced",
		"coordinator C applied", "coordinator A applied", "participant P prepared", "participant C applied",
		"participant A applied", "tombstone applied", "tombstone fenced", "END applied")
	for _, kind := range []string{"intra", "cross"} {
		for _, o := range []string{"committed", "insufficient_funds", "invalid", "aborted", "unavailable", "unknown", "not_leader"} {
			add("answer", kind+" "+o)
		}
	}
	for _, o := range []string{"committed", "insufficient_funds", "aborted", "unavailable", "unknown", "not_leader"} {
		add("answer", "resolve "+o)
	}
	add("answer", "read committed", "read unavailable", "read not_leader")
	add("client", "died", "hasty", "refused", "sent twice")
	return all
}

// notReached says why something that the core can say never occurs in a run.
var notReached = map[string]string{
	"vote: invalid":            "coordinators ask only for transfers that they found valid, and all share one item map",
	"vote: overflow":           "a topology's balances add up to at most 2^62, so no credit of existing money overflows",
	"vote: void":               "a leader proposes one P an attempt, and what its predecessor proposed is fenced",
	"abort: invalid":           "it repeats a vote that does not occur",
	"abort: overflow":          "it repeats a vote that does not occur",
	"abort: void":              "a leader proposes one P a request at a time, and what its predecessor proposed is fenced",
	"abort: not leader":        "it makes a coordinator ask another node, not abort",
	"abort: waiting":           "it is no vote",
	"vote: timeout":            "it is a coordinator's reason",
	"refusal: belong to ":      "a client never names two requests alike; the rules' own tests do",
	"vote: insufficient funds": "it is a coordinator's reason",
}
