package grade

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ManifestFile is the name of a submission's own manifest.
const ManifestFile = "paxbank.yaml"

// commands say how a submission is built and started.
type commands struct {
	Build, Node string
}

// commandsOf are the suite's commands, and what the submission in dir says
// instead, as far as the suite lets it.
func (s *Suite) commandsOf(dir string) (commands, error) {
	c := commands{s.Build, s.Node}
	if s.Manifest == ManifestIgnored {
		return c, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, err
	}
	defer root.Close()
	data, err := root.ReadFile(ManifestFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.Manifest == ManifestRequired:
		return c, &rejected{"it has no " + ManifestFile}
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return c, &rejected{fmt.Sprintf("its %s cannot be read: %v", ManifestFile, reason(err))}
	default:
		if err := c.read(data); err != nil {
			return c, &rejected{err.Error()}
		}
	}
	if c.Node == "" {
		return c, &rejected{fmt.Sprintf("neither its %s nor the suite says how a node is started (node)", ManifestFile)}
	}
	return c, nil
}

// read takes over what a manifest says.
func (c *commands) read(data []byte) error {
	r := reader{name: ManifestFile}
	if n := r.document(data); n != nil {
		r.commands(r.mapping(n, "the manifest", "build", "node"), &c.Build, &c.Node)
	}
	return r.err()
}
