package bench

import (
	"os"
	"strings"
	"testing"
	"time"

	"paxbank/internal/topology"
)

func TestPresetsAndFlags(t *testing.T) {
	for _, c := range []struct {
		change func(*Command)
		want   func(p *plan) bool
		what   string
	}{
		{func(*Command) {}, func(p *plan) bool {
			return p.load.duration == defaultDuration && p.load.warmup == defaultWarmup && p.topology.InitialBalance == 1_000_000 && p.load.mix == mix{}
		}, "ten seconds of intra-shard transfers, uniform, initial balance 1,000,000"},
		{func(c *Command) { c.Preset = "course-200" }, func(p *plan) bool {
			return p.load.transactions == 200 && p.load.mix == mix{Reads: 0.2, Cross: 0.2} && p.load.warmup == 0
		}, "200 transactions, 80 % writes, 20 % cross-shard"},
		{func(c *Command) { c.Preset = "course-2000" }, func(p *plan) bool {
			return p.load.transactions == 2000 && p.load.mix == mix{Reads: 0.1, Cross: 0.2, Theta: 0.99}
		}, "2,000 transactions, 90/20, strongly skewed"},
		{func(c *Command) { c.Preset = "course-30000" }, func(p *plan) bool {
			return p.load.transactions == 30_000 && p.load.mix == mix{}
		}, "30,000 writes, intra-shard, uniform"},
		{func(c *Command) { c.Preset = "course-5x5" }, func(p *plan) bool {
			return len(p.topology.Clusters) == 5 && len(p.topology.Nodes()) == 25
		}, "5 clusters of 5"},
		{func(c *Command) { c.Preset, c.Cross, c.Duration = "course-200", ptr(50.0), ptr(3*time.Second) }, func(p *plan) bool {
			return p.load.mix.Cross == 0.5 && p.load.mix.Reads == 0.2 && p.load.duration == 3*time.Second && p.load.transactions == 0
		}, "flags override the preset"},
		{func(c *Command) { c.Preset, c.Hot = "ycsb-a", "80:20" }, func(p *plan) bool {
			return p.load.mix == mix{Reads: 0.5, HotAccess: 0.8, HotItems: 0.2} && len(p.settings.Mapping) > 0
		}, "--hot takes the place of a preset's skew"},
		{func(c *Command) { c.Rate, c.Clients = 100, ptr(4) }, func(p *plan) bool {
			return p.load.slots() == defaultOpen && p.settings.Loop == "open (poisson)"
		}, "an open loop has many slots"},
	} {
		command := &Command{Arrivals: "poisson", Fault: faultPause, Deadline: time.Second, Repeat: 1}
		c.change(command)
		p, err := command.plan(&Env{})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		} else if !c.want(p) {
			t.Errorf("want %s, got %+v", c.what, p.settings)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		change func(*Command)
		want   string
	}{
		{func(c *Command) { c.Preset = "course" }, "there are course-200, course-2000"},
		{func(c *Command) { c.Transactions, c.Duration = ptr(int64(1)), ptr(time.Second) }, "exclude each other"},
		{func(c *Command) { c.Transactions = ptr(int64(-1)) }, "--transactions"},
		{func(c *Command) { c.Duration = ptr(time.Millisecond) }, "--duration"},
		{func(c *Command) { c.Clients = ptr(0) }, "--clients"},
		{func(c *Command) { c.Clients, c.Inflight = ptr(1<<40), ptr(1<<40) }, "at once"},
		{func(c *Command) { c.Rate = -1 }, "--rate"},
		{func(c *Command) { c.Hot = "80" }, "as in 80:20"},
		{func(c *Command) { c.Hot = "120:20" }, "--hot"},
		{func(c *Command) { c.Skew = ptr(2.0) }, "--skew 2"},
		{func(c *Command) { c.Warmup = ptr(-time.Second) }, "--warmup"},
		{func(c *Command) { c.Deadline = time.Microsecond }, "--deadline"},
		{func(c *Command) { c.Preset, c.Read = "smallbank", ptr(5.0) }, "smallbank"},
		{func(c *Command) { c.Fail = []string{"n1"} }, "NODE@TIME"},
		{func(c *Command) { c.Fail = []string{"n99@1s"} }, "no node n99"},
		{func(c *Command) { c.Recover = []string{"n1@1s"} }, "has not failed before"},
		{func(c *Command) { c.Fail = []string{"n1@1s", "n1@2s"} }, "has failed already"},
		{func(c *Command) { c.Fail = []string{"n1@10s"} }, "are over"},
		{func(c *Command) { c.Repeat = 0 }, "--repeat"},
		{func(c *Command) { c.Profile, c.CPUProfile = "d", "f" }, "--cpuprofile exclude each other"},
		{func(c *Command) { c.Profile, c.Repeat = "d", 2 }, "leave --repeat out"},
		{func(c *Command) { c.Profile, c.Transactions = "d", ptr(int64(9)) }, "--duration of 1s or more"},
		{func(c *Command) { c.Profile, c.Fault, c.Fail = "d", faultKill, []string{"n1@1s"} }, "use --fault pause"},
	} {
		command := &Command{Arrivals: "poisson", Fault: faultPause, Deadline: time.Second, Repeat: 1}
		c.change(command)
		code, err := command.Run(t.Context(), Env{Stdout: os.Stderr})
		if code != exitUsage || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("exit code %d, %v; want %d and an error with %q", code, err, exitUsage, c.want)
		}
	}
	command := &Command{Arrivals: "poisson", Fault: faultKill, Deadline: time.Second, Repeat: 1, Fail: []string{"n1@1s"}}
	for _, want := range []string{"--fault kill", "no address"} {
		if _, err := command.Run(t.Context(), Env{Attach: true, Topology: topology.Default()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("attached: %v, want an error with %q", err, want)
		}
		command.Fault = faultPause
	}
	command = &Command{Arrivals: "poisson", Fault: faultPause, Deadline: time.Second, Repeat: 1, Profile: "d"}
	if code, err := command.Run(t.Context(), Env{Command: []string{"bank"}, Name: "bank"}); code != exitUsage || err == nil || !strings.Contains(err.Error(), "our own server only") {
		t.Errorf("--profile of another server: exit code %d, %v", code, err)
	}
}

func TestEventsComeInOrder(t *testing.T) {
	known := func(string) bool { return true }
	events, err := parseEvents([]string{"n1@5s", "n2@1s", "n1@9s"}, []string{"n1@7500ms"}, known)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, e := range events {
		got += e.what() + " " + e.node + " " + e.at.String() + "; "
	}
	if want := "fail n2 1s; fail n1 5s; recover n1 7.5s; fail n1 9s; "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
