package grade

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Machine is what this machine has for us, or the container that we are in.
type Machine struct {
	CPUs   float64 // such as 0.5
	Memory int64   // bytes; 0 when it is not known
	// Quota: CPUs is a share of time, which programs that count processors do not see.
	Quota bool
}

// ReadMachine finds out the limits that hold: processors that may be used, quotas
// and memory limits of cgroups (both versions), memory that is free. What a system
// does not tell does not limit.
func ReadMachine() Machine { return readMachine(os.DirFS("/"), runtime.NumCPU()) }

// readMachine reads /proc and /sys below root, for a process that may use so many
// processors.
func readMachine(root fs.FS, processors int) Machine {
	m := Machine{CPUs: float64(processors)}
	var memory []int64
	for line := range strings.Lines(readText(root, "proc/meminfo")) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemAvailable:" {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				memory = append(memory, kib<<10)
			}
		}
	}
	quota := func(share, period string) {
		s, err1 := strconv.ParseFloat(share, 64)
		p, err2 := strconv.ParseFloat(period, 64)
		if err1 == nil && err2 == nil && s > 0 && p > 0 && s/p < m.CPUs {
			m.CPUs, m.Quota = s/p, true
		}
	}
	for _, g := range cgroups(root) {
		if f := strings.Fields(readText(root, path.Join(g, "cpu.max"))); len(f) == 2 {
			quota(f[0], f[1])
		}
		quota(strings.TrimSpace(readText(root, path.Join(g, "cpu.cfs_quota_us"))), strings.TrimSpace(readText(root, path.Join(g, "cpu.cfs_period_us"))))
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			if n, err := strconv.ParseInt(strings.TrimSpace(readText(root, path.Join(g, name))), 10, 64); err == nil && n > 0 {
				memory = append(memory, n)
			}
		}
	}
	if len(memory) > 0 {
		m.Memory = slices.Min(memory)
	}
	return m
}

// cgroups are the directories of the cgroups that this process is in, and of those
// above them. In a container they may be mounted under another name than
// /proc/self/cgroup has for them, but the top of what is mounted is always above.
func cgroups(root fs.FS) (dirs []string) {
	const mounts = "sys/fs/cgroup"
	for line := range strings.Lines(readText(root, "proc/self/cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		tops := []string{mounts, path.Join(mounts, "unified")}
		if f[1] != "" {
			tops = []string{path.Join(mounts, f[1])}
			for _, controller := range strings.Split(f[1], ",") {
				tops = append(tops, path.Join(mounts, controller))
			}
		}
		for _, top := range tops {
			for below := path.Clean("/" + f[2]); ; below = path.Dir(below) {
				dirs = append(dirs, path.Join(top, below))
				if below == "/" {
					break
				}
			}
		}
	}
	return dirs
}

// readText is what a file holds; nothing when it cannot be read.
func readText(root fs.FS, name string) string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(text)
}

// What grading takes beside the nodes' programs: grader and worker together, and
// the init of one box. Measured under examples/gradescope they had 122 and 13 MiB,
// shared pages counted once.
const (
	graderMemory = 128 << 20
	boxMemory    = 14 << 20
)

// leastNodeMemory: with less there is hardly a program that is a node.
const leastNodeMemory = 32 << 20

// Lacks says why the suite cannot be run here with so many submissions at the same
// time, and "" when it can.
func (m Machine) Lacks(s *Suite, jobs int) string {
	node, whose := s.Limits.Memory, "as limits.memory says"
	if node == 0 {
		node, whose = leastNodeMemory, "the least that makes sense"
	}
	banks := ""
	if jobs > 1 {
		banks = fmt.Sprintf(", %d at the same time", jobs)
	}
	nodes := s.nodes()
	if need := int64(jobs) * (int64(nodes)*(node+boxMemory) + graderMemory); m.Memory > 0 && m.Memory < need {
		return fmt.Sprintf("there are %d MiB of memory here, and grading takes %d MiB: %d nodes with %d MiB each (%s) and a box of %d MiB around it, and %d MiB for the grader%s",
			m.Memory>>20, need>>20, nodes, node>>20, whose, boxMemory>>20, graderMemory>>20, banks)
	}
	return ""
}

// nodes of the largest bank of the suite.
func (s *Suite) nodes() int {
	nodes := 1
	for i := range s.Sections {
		for _, set := range s.Sections[i].plan.Sets {
			nodes = max(nodes, len(set.Topology.Nodes()))
		}
	}
	return nodes
}

// String is the machine in words.
func (m Machine) String() string {
	text := strconv.FormatFloat(math.Round(m.CPUs*100)/100, 'g', -1, 64) + " CPUs"
	if m.Memory > 0 {
		text += fmt.Sprintf(" and %d MiB of memory", m.Memory>>20)
	}
	return text
}

// env is what programs are told of the machine, unless the suite does: many count
// the processors that there are and do not see a quota, and then run into it.
func (m Machine) env(s *Suite) []string {
	if !m.Quota {
		return nil
	}
	return s.unlessSet("GOMAXPROCS", strconv.Itoa(int(math.Ceil(m.CPUs))))
}

// smallMemory: with less, a compiler has to be told that there is not more.
const smallMemory = 2 << 30

// buildEnv keeps compilers within what there is: a build that the kernel kills for
// its memory has failed.
func (m Machine) buildEnv(s *Suite) []string {
	if m.Memory == 0 || m.Memory >= smallMemory {
		return nil
	}
	return s.unlessSet("GOMEMLIMIT", fmt.Sprintf("%dMiB", m.Memory/2>>20))
}

// nodeEnv keeps garbage collectors within the suite's memory of a node.
func (s *Suite) nodeEnv() []string {
	if s.Limits.Memory == 0 {
		return nil
	}
	return s.unlessSet("GOMEMLIMIT", fmt.Sprintf("%dMiB", s.Limits.Memory/4*3>>20))
}

func (s *Suite) unlessSet(name, value string) []string {
	if slices.ContainsFunc(s.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
		return nil
	}
	return []string{name + "=" + value}
}
