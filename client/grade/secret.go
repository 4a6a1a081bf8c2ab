package grade

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretFile of a class lies beside its gradebook and is readable to its owner
// alone: who has it can tell who is behind a pseudonym.
const secretFile = "secret"

const secretBytes = 32

// classSecret reads the secret of a class, or makes one.
func classSecret(dir string) ([]byte, error) {
	path := filepath.Join(dir, secretFile)
	secret, err := os.ReadFile(path)
	switch {
	case err == nil && len(secret) != secretBytes:
		return nil, fmt.Errorf("%s has %d bytes instead of %d: restore it, or remove it for new pseudonyms", path, len(secret), secretBytes)
	case err == nil:
		return secret, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the secret of the class %s cannot be read: %w", path, reason(err))
	}
	secret = make([]byte, secretBytes)
	rand.Read(secret)
	return secret, replace(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(secret)
		return err
	})
}

// sign is HMAC-SHA256 (RFC 2104).
func sign(secret []byte, text string) []byte {
	mac := hmac.New(sha256.New, secret)
	io.WriteString(mac, text) // never fails, says package hash
	return mac.Sum(nil)
}

// pseudonymLetters of base 32: 40 bits, so that a large class has hardly ever two
// that are the same.
const pseudonymLetters = 8

// pseudonym of a submission, the same in every grading of the class.
func pseudonym(secret []byte, submission string) string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(sign(secret, "name\x00"+submission))[:pseudonymLetters])
}
