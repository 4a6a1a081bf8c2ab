package testset

// Kind of a command.
type Kind int

// The kinds.
const (
	Transfer   Kind = iota + 1 // (From, To, Amount)
	Read                       // (Item)
	Fail                       // F(Node)
	Recover                    // R(Node)
	LeaderFail                 // LF: every cluster's current leader fails; LF(c2): one cluster's
)

// Command is one command of a set.
type Command struct {
	Line, Column     int // of the command in the file, from 1
	Kind             Kind
	From, To, Amount int64
	Item             int64
	Node             string // Fail, Recover
	Cluster          string // LeaderFail of one cluster; "" for all
	Text             string // canonical form, e.g. "(1001, 3001, 10)", "(A, J, 3)", "F(n3)"
	// parts are sender, receiver and amount, or the item, node or cluster. An item
	// that is named has its number only after File.Check.
	parts [3]part
}

// part is what one word of a command was in the file.
type part struct {
	name string // of an item; "" when it was written as a number
	place
}

// Marker reports whether the command is a barrier rather than work.
func (c Command) Marker() bool { return c.Kind >= Fail }

// Set is one set: the commands in file order.
type Set struct {
	Number int
	Line   int
	Live   []string // node ids in file order; nil means all
	// LiveLine and LiveColumn say where the live list stands, for messages.
	LiveLine, LiveColumn int
	// Contacts are nodes that the file names for clients to talk to first: a hint
	// for who leads at the start. nil means none.
	Contacts []string
	Commands []Command

	liveAt, contactsAt []place // of each of Live and Contacts
}

// File is one parsed test set.
type File struct {
	Name string // as given on the command line
	Sets []Set
	// Warnings are oddities that were accepted, "file:line:column: warning: text".
	Warnings []string

	namesExplained bool // how a topology names its items; see resolver
}
