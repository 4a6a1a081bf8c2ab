package grade

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// system is what a kernel shows, by file name.
func system(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestReadMachine(t *testing.T) {
	const meminfo = "MemTotal:       16000000 kB\nMemAvailable:    8388608 kB\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Machine
	}{
		{"no limits", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice\n", "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n", "sys/fs/cgroup/user.slice/memory.max": "max\n",
		}, Machine{4, 8 << 30, false}},
		{"a container, version 2", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n", "sys/fs/cgroup/memory.max": "805306368\n",
		}, Machine{0.5, 768 << 20, true}},
		{"version 2, limited further up", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "200000 100000\n",
			"sys/fs/cgroup/a/b/memory.max": "1073741824\n", "sys/fs/cgroup/a/b/c/memory.max": "2147483648\n",
		}, Machine{1.5, 1 << 30, true}},
		{"version 1, under another name in the container", map[string]string{
			"proc/meminfo":     meminfo,
			"proc/self/cgroup": "7:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n1:name=systemd:/x\n0::/\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "25000\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "50000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "805306368\n",
		}, Machine{0.5, 768 << 20, true}},
		{"version 1, no limits", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "2:cpu:/\n1:memory:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, Machine{4, 8 << 30, false}},
		{"a quota of more than there is", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "800000 100000\n"}, Machine{4, 0, false}},
		{"another system", nil, Machine{4, 0, false}},
	} {
		if got := readMachine(system(c.files), 4); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if m := ReadMachine(); m.CPUs <= 0 || m.Memory < 0 {
		t.Errorf("this machine: %+v", m)
	}
}

func TestMachineIsTold(t *testing.T) {
	small, s := Machine{0.5, 768 << 20, true}, &Suite{Limits: Limits{Memory: 64 << 20}}
	told := slices.Concat(small.env(s), small.buildEnv(s), s.nodeEnv())
	if want := []string{"GOMAXPROCS=1", "GOMEMLIMIT=384MiB", "GOMEMLIMIT=48MiB"}; !slices.Equal(told, want) {
		t.Errorf("a quota and little memory: %q, want %q", told, want)
	}
	s.Env = []string{"GOMAXPROCS=3", "GOMEMLIMIT=off"}
	large := Machine{4, 8 << 30, false}
	if told := slices.Concat(small.env(s), small.buildEnv(s), s.nodeEnv(), large.env(&Suite{}), large.buildEnv(&Suite{}), (&Suite{}).nodeEnv()); len(told) > 0 {
		t.Errorf("the suite says it, or there is enough: %q", told)
	}
	if text := small.String(); text != "0.5 CPUs and 768 MiB of memory" {
		t.Errorf("in words: %s", text)
	}
}

func TestLacks(t *testing.T) {
	s := &Suite{}
	s.Limits.Memory = 100 << 20
	for _, c := range []struct {
		memory int64
		jobs   int
		want   string
	}{
		{0, 1, ""}, // not known
		{242 << 20, 1, ""},
		{241 << 20, 1, "there are 241 MiB of memory here, and grading takes 242 MiB: 1 nodes with 100 MiB each (as limits.memory says) and a box of 14 MiB around it, and 128 MiB for the grader"},
		{242 << 20, 2, "takes 484 MiB: 1 nodes with 100 MiB each (as limits.memory says) and a box of 14 MiB around it, and 128 MiB for the grader, 2 at the same time"},
	} {
		if got := (Machine{1, c.memory, false}).Lacks(s, c.jobs); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%d MiB, %d jobs: %q, want %q", c.memory>>20, c.jobs, got, c.want)
		}
	}
	s.Limits.Memory = 0
	if got := (Machine{1, 1 << 20, false}).Lacks(s, 1); !strings.Contains(got, "32 MiB each (the least that makes sense)") {
		t.Errorf("no limit: %q", got)
	}
}

// A quota stops everything between repetitions, which the median of their times
// does not show.
func TestQuotaIsMeasured(t *testing.T) {
	spin := func() error {
		for end := processorTime() + 2*time.Millisecond; processorTime() < end; {
		}
		return nil
	}
	got, err := median(t.Context(), 0.01, spin)
	if err != nil || got < 200*time.Millisecond {
		t.Errorf("2 ms of processor time on a hundredth of a processor take %s, %v", got, err)
	}
}
