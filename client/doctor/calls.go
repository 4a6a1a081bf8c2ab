package doctor

import "time"

// The bounds of waits and calls. Those of the driver, where it has the same one:
// who is too slow for the doctor is too slow for a set.
const (
	// pollEvery: between two looks at the nodes' status.
	pollEvery = 5 * time.Millisecond
	// callBound of a call that does little work.
	callBound = 3 * time.Second
	// resetBound of a Configure or Reset, which replaces a disk's contents.
	resetBound = 30 * time.Second
	// leaderBound: a ready leader in every cluster that has a majority.
	leaderBound = 10 * time.Second
	// quietBound: all replicas have applied the same, and say so.
	quietBound = 10 * time.Second
	// recoverBound: a node that came back has caught up.
	recoverBound = 5 * time.Second
	// downBound: nodes without a majority know that they have no leader.
	downBound = 5 * time.Second
	// deadline of a request, as its deadline_ms says.
	deadline = 5 * time.Second
	// shortDeadline of a request that is sent where it cannot succeed.
	shortDeadline = time.Second
	// grace: so much later than its deadline a request has to be answered.
	grace = time.Second
	// stillPolls: as the driver, which takes nodes whose indices stood still for so
	// many polls for quiet when none says quiet.
	stillPolls = 20
)

// call is one call of the contract, or a part of one that may be missing by
// itself.
type call struct {
	level int
	name  string
	// missing is what it costs not to have it: what client run does then.
	missing string
}

// process stands for what a node's program does as such.
const process = "process"

// calls in the order in which to build them: every call stands after those that
// it needs. The table of docs/protocol.md says the same, and a test compares them.
var calls = []call{
	{0, "Control.Status", "no set starts (exit code 69): nobody knows whether a node is there or leads"},
	{0, "Bank.Submit", "every transfer ends unknown at its deadline, and so does every set with one"},
	{0, "Bank.Read", "reads end unknown at their deadline, and so does every set: what it did cannot be read back"},
	{0, "Control.Reset", "every other set is unknown: the nodes are started anew after it. With --attach the run ends at the second set"},
	{1, "Control.Configure", "no set starts (exit code 69): the driver tells nodes their bank"},
	{1, "Control.SetLive", "no set starts (exit code 69): nodes stay disconnected"},
	{1, "Inspect.Database", "every set is unknown: nobody knows what the nodes hold. PrintDB is empty"},
	{1, "Inspect.Balance", "a set is unknown when it names an item that no transfer changed. PrintBalance is missing"},
	{1, process, "--fault kill cannot be used"},
	{2, "Bank.Resolve", "a transfer whose answer was lost stays unknown, and so does its set; each costs 5 s of waiting"},
	{2, "Bank.SubmitStream", "nothing but speed: the driver sends every transfer by itself, with Submit"},
	{2, "Bank.ReadStream", "nothing but speed of client bench, which sends every read by itself, with Read"},
	{2, "Inspect.Log", "PrintLog is empty; what is prepared cannot be told from what is done, and the first position at which two replicas differ cannot be named"},
	{2, "Inspect.TransactionStatus", "PrintStatus is empty"},
	{2, "Inspect.Views", "PrintView is empty; views in an expected file is unknown"},
	{2, "Inspect.Locks", "the lock table is empty; an item that stays locked is not named"},
	{2, "Inspect.Timeline", "no timelines"},
	{2, "Inspect.Performance", "no lock hold times"},
	{2, "Status.quiet", "every barrier takes longer: indices that stand still for twenty polls are taken for it"},
	{2, "Status.checksum", "replicas are compared by the items they list only"},
}

// probe is one thing that is tried.
type probe struct {
	id   id
	call string
	what string // the scenario, in a few words
	want string // what the contract wants
	page string // heading of docs/protocol.md that says so
	cost string // what it costs when it is otherwise
}

// id names a probe in this package.
type id int

const (
	statusEarly id = iota
	bankEarly
	leads
	commits
	crosses
	funds
	malformed
	twice
	contents
	misdirected
	otherEpoch
	reads
	readsBad
	resets
	resetOver
	configures
	fingerprints
	configuresWrong
	configuresTwice
	refuses
	answersDown
	minority
	frozen
	recovers
	majority
	participantDown
	database
	balances
	restarts
	resolves
	tombstones
	streams
	readStreams
	logs
	rows
	views
	locks
	timelines
	performs
	quiet
	checksums
)

// probes in the order of the table. A test holds pages against docs/protocol.md.
var probes = []probe{
	{statusEarly, "Control.Status", "before Configure", "an answer with the node's own node_id", "StatusReply",
		"the driver refuses to run on a node that says it is another one"},
	{leads, "Control.Status", "leaders", "one node of every cluster says ready within 10 s of SetLive(true)", "How the driver uses it",
		"every set is unknown after a wait of 10 s"},
	{commits, "Bank.Submit", "within a cluster", "RESULT_COMMITTED with success, and the request's client_id and timestamp", "TransactionReply",
		"transfers do not end, and every set with one fails or is unknown"},
	{crosses, "Bank.Submit", "across clusters", "RESULT_COMMITTED", "Bank",
		"cross-shard transfers do not commit: sets that expect them to fail"},
	{funds, "Bank.Submit", "more than the sender has", "RESULT_INSUFFICIENT_FUNDS, and nothing changes", "Result",
		"the outcome is wrong, or money is lost, and the set fails"},
	{malformed, "Bank.Submit", "malformed", "RESULT_INVALID for amount 0, sender = receiver, an item that nobody owns, client_id 0", "Result",
		"the outcome is wrong; a malformed transfer that is carried out destroys money"},
	{twice, "Bank.Submit", "the same again", "the same answer, and no second effect", "Bank",
		"a resent transfer is applied twice: money moves that nobody sent, and the set fails"},
	{contents, "Bank.Submit", "other contents, same name", "RESULT_INVALID, and nothing changes", "Bank",
		"clients that mix up names are not told"},
	{misdirected, "Bank.Submit", "at a follower", "RESULT_NOT_LEADER with leader naming the leader (or the outcome, if the node forwards)", "TransactionReply",
		"clients ask all nodes of a cluster in turn: slower after every change of leaders"},
	{otherEpoch, "Bank.Submit", "another epoch or topology", "RESULT_WRONG_EPOCH with the node's epoch, and nothing changes", "Result",
		"a late request of one set can change the next one"},
	{reads, "Bank.Read", "one's own write", "RESULT_COMMITTED with the balance after the transfer", "ReadReply",
		"stale reads: the history is not serialisable, and the set fails"},
	{readsBad, "Bank.Read", "misdirected or malformed", "RESULT_INVALID for an item that nobody owns, RESULT_NOT_LEADER at a follower (or the balance), RESULT_WRONG_EPOCH for another epoch", "ReadReply",
		"reads can return what belongs to another set or another cluster"},
	{resets, "Control.Reset", "a fresh bank", "the new epoch, disconnected, every balance as at the start", "Control",
		"what one set leaves behind falsifies the next one, which fails"},
	{resetOver, "Control.Reset", "an epoch that is over", "FAILED_PRECONDITION for a lower epoch, success for the same", "Errors",
		"a late reset can throw away the bank of a later set"},

	{configures, "Control.Configure", "a fresh bank", "success, then Status with configured, the epoch, and live false", "ConfigureReply",
		"no set starts (exit code 69)"},
	{bankEarly, "Control.Configure", "before it, Bank refuses", "UNAVAILABLE with a message that begins with \"refused: \"", "Errors",
		"a request that reaches an unconfigured node is unknown instead of unavailable"},
	{fingerprints, "Control.Configure", "fingerprint", "the same number from all nodes, not 0, and in Status too", "ConfigureReply",
		"no set starts when nodes disagree; 0 makes the driver configure anew instead of resetting"},
	{configuresWrong, "Control.Configure", "nonsense", "INVALID_ARGUMENT for a node id that the topology does not have, and for epoch 0", "Errors",
		"a mistake in a topology file shows as strange outcomes instead of an error"},
	{configuresTwice, "Control.Configure", "the same again", "the node goes on, disconnected, with what it had", "Control",
		"with --fault kill, a node that comes back has lost everything, and the set fails"},
	{refuses, "Control.SetLive", "a disconnected node refuses", "Bank calls fail with UNAVAILABLE and a message that begins with \"refused: \"", "Errors",
		"every request that tries a failed node is unknown until Resolve settles it"},
	{answersDown, "Control.SetLive", "and answers", "Status (live and ready false) and Inspect as before", "SetLiveRequest, SetLiveReply, StatusRequest",
		"nobody knows what a failed node holds"},
	{minority, "Control.SetLive", "a minority fails", "another leader is ready within 10 s, and a transfer commits", "How the driver uses it",
		"sets with F or LF fail or are unknown"},
	{recovers, "Control.SetLive", "it comes back", "within 5 s it names the leader, has applied all, and holds the same balances", "How the driver uses it",
		"sets with R are unknown, or fail because live replicas differ"},
	{majority, "Control.SetLive", "a majority fails", "within 5 s the others report neither ready, leader nor quorum; then transfers and reads are RESULT_UNAVAILABLE at once", "How the driver uses it",
		"sets that lose a majority are unknown, or report success without a quorum and fail"},
	{participantDown, "Control.SetLive", "the receiver's cluster is away", "RESULT_ABORTED before the deadline, and the sender has its money again", "Result",
		"money is missing or locked away while one cluster is down, and the set fails"},
	{database, "Inspect.Database", "modified items", "on every replica all items that transfers changed, with their balances", "DatabaseRequest, DatabaseReply",
		"the balances cannot be checked, or fail"},
	{balances, "Inspect.Balance", "named items", "those that the node's cluster owns, modified or not; the others left out", "BalanceRequest, BalanceReply, Item",
		"the balances cannot be checked, or fail"},
	{frozen, "Inspect.Balance", "of a failed node", "what it held when it failed", "Inspect",
		"expected balances of failed nodes (item@node) fail"},
	{restarts, process, "kill -9 of all, restart", "with the same directories and Configure the bank goes on: nothing acknowledged is lost, a request sent again has no second effect", "The process",
		"with --fault kill, money that was acknowledged is gone, and the set fails"},

	{resolves, "Bank.Resolve", "an answered request", "its outcome, final", "ResolveReply",
		"a transfer whose answer was lost is given a wrong outcome"},
	{tombstones, "Bank.Resolve", "one that never arrived", "RESULT_ABORTED, final; sent afterwards, it is not carried out", "Bank",
		"a transfer can take effect after its client was told that it never would, and the set fails"},
	{streams, "Bank.SubmitStream", "three in one message", "three answers, matched by client_id and timestamp", "TransactionRequestBatch, TransactionReplyBatch",
		"transfers end unknown: the driver prefers the stream when it is offered"},
	{readStreams, "Bank.ReadStream", "two in one message", "two answers, matched by number", "ReadReplyBatch, NumberedReadReply",
		"reads of client bench end unknown"},
	{logs, "Inspect.Log", "a transfer", "an entry with the request's name and status E, the same index on every replica", "LogEntry",
		"PrintLog is wrong, and what is prepared is misjudged"},
	{rows, "Inspect.TransactionStatus", "a transfer", "a row with the request's name and status E", "TransactionStatusRequest, TransactionStatusReply, Row",
		"PrintStatus is wrong"},
	{views, "Inspect.Views", "the leader's view", "a view with its leader and ballot", "NewView",
		"PrintView is wrong"},
	{locks, "Inspect.Locks", "an idle bank", "an answer without locks", "LocksRequest, LocksReply, Lock",
		"an item stays locked, and the set fails"},
	{timelines, "Inspect.Timeline", "a cross-shard transfer", "a timeline with locked_us and released_us, in that order", "Timeline",
		"timelines are wrong"},
	{performs, "Inspect.Performance", "counters", "lock_hold counts the locks of a cross-shard transfer", "PerformanceRequest, PerformanceReply",
		"lock hold times are wrong"},
	{quiet, "Status.quiet", "an idle bank", "quiet within 10 s on every node", "StatusReply",
		"barriers wait 10 s in vain, and the set is unknown"},
	{checksums, "Status.checksum", "an idle bank", "the same on all replicas of a cluster that have applied the same", "StatusReply",
		"replicas are said to differ, and the set fails"},
}
