package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"paxbank/client/sandbox"
)

// Split cuts a command line into words as a shell does: at blanks, with single
// quotes, double quotes and backslashes. Nothing is expanded: use
// sh -c '…' for that.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	quote := rune(0)
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' && r != '$' && r != '`' {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("a %c quote is not closed", quote)
	case escaped:
		return nil, errors.New("it ends in a backslash")
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("it is empty")
	}
	return words, nil
}

// ParseCommand splits a --node-cmd and checks that it has the places that make
// it one.
func ParseCommand(line string) ([]string, error) {
	words, err := Split(line)
	if err != nil {
		return nil, fmt.Errorf("--node-cmd: %w", err)
	}
	for _, place := range []string{"{id}", "{listen}", "{data}"} {
		if !strings.Contains(line, place) {
			return nil, fmt.Errorf("--node-cmd: %s is missing; a node must be told its id, its address and its data directory: 'CMD --id {id} --listen {listen} --data {data}'", place)
		}
	}
	if err := LookUp(words); err != nil {
		return nil, fmt.Errorf("--node-cmd: %w", err)
	}
	return words, nil
}

// LookUp checks that the program of a command exists, before anything starts.
func LookUp(command []string) error {
	if len(command) == 0 {
		return errors.New("the node command is empty")
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		var bad *exec.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return fmt.Errorf("the program %s cannot be started: %w", command[0], err)
	}
	return nil
}

// why a node did not answer, for people who do not know gRPC's words.
func why(err error) string {
	switch st := status.Convert(err); {
	case st.Code() == codes.Unimplemented:
		return "it speaks gRPC but does not offer paxbank.v1.Control"
	case st.Code() == codes.DeadlineExceeded:
		return "it takes connections and says nothing"
	case st.Code() == codes.Unavailable && strings.Contains(st.Message(), "connection refused"):
		return "nothing listens there"
	case st.Code() == codes.Unavailable:
		return "what listens there does not speak gRPC"
	default:
		return sandbox.Escape(st.Message())
	}
}

// tail is the end of what a node's log holds from offset on, for an error
// message: somebody else's words, so they are escaped.
func tail(path string, offset int64) string {
	data, err := os.ReadFile(path)
	if err == nil {
		data = data[min(offset, int64(len(data))):]
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "; it printed nothing"
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(len(lines)-tailLines, 0):]
	for i, l := range lines {
		if r := []rune(l); len(r) > tailColumns {
			l = string(r[:tailColumns]) + "…"
		}
		lines[i] = sandbox.Escape(l)
	}
	return "; the end of its log:\n    " + strings.Join(lines, "\n    ")
}
