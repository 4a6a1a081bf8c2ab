package sandbox

import (
	"slices"
	"testing"
)

func TestMountPoints(t *testing.T) {
	got := mountPoints("25 1 8:1 / / rw - ext4 /dev/vda rw\n26 25 0:5 / /my\\040disk rw shared:1 - tmpfs none rw\nshort\n")
	if !slices.Equal(got, []string{"/", "/my disk"}) {
		t.Errorf("%q", got)
	}
}
