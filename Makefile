# make            build bin/server and bin/client
# make test       vet, then every test with the race detector (TIMEOUT=5m for a package)
# make race       the same afresh, without the test cache
# make sim        the simulator: SEEDS=n FIRST=n FOR=10m, or SEED=n V=1 to repeat one; SHAPE=3x3 FAULTS=rift,crash
# make mutants    planted bugs, each hunted by the simulator: FIRST=n, SEEDS=n at most, MUTANTS='undo|fence'
# make lint       gofmt, vet, staticcheck, buf lint, generated code up to date
# make e2e        ./run.sh on every test set, both kinds of fault, two runs at once
# make fuzz       every fuzz target for FUZZTIME each
# make bench      Go benchmarks; BENCH=Apply for some of them
# make profile    profiles of nodes and driver under load, into results/profile
# make gradescope bin/gradescope.zip, an autograder; SUITE=suite.yaml, BUNDLE_ARCH=arm64, GO_TARBALL=go1.….tar.gz
# make proto      regenerate proto/ (needs no protoc)
# make clean      remove bin/ and the results of runs
# make help       print this

GO        ?= go
# Tools live in a module of their own, so that they do not weigh on go.mod.
TOOL       = $(GO) tool -modfile=internal/tools/go.mod
SOURCES    = client examples internal proto server
TIMEOUT   ?= 5m
SEEDS     ?= 200
FIRST     ?= 1
SEED      ?=
FAULTS    ?=
MUTANTS   ?=
SHAPE     ?=
FOR       ?=
V         ?=
FUZZTIME  ?= 30s
BENCH     ?= .
SUITE     ?= examples/gradescope/suite.yaml
BUNDLE_ARCH ?= amd64
GO_TARBALL ?=

.DEFAULT_GOAL := build
.PHONY: build test race sim mutants fuzz bench profile gradescope lint proto proto-check e2e clean help

# Built aside and renamed into place, like run.sh does: a run that uses the old
# programs, or builds at the same time, is not disturbed. The copies let go build
# see that nothing has changed.
build:
	@mkdir -p bin && tmp=$$(mktemp -d bin/.build.XXXXXX) && trap 'rm -rf "$$tmp"' EXIT && \
		{ cp -p bin/client bin/server "$$tmp" 2>/dev/null || true; } && \
		$(GO) build -o "$$tmp/" ./client ./server && \
		mv -f "$$tmp/client" bin/client && mv -f "$$tmp/server" bin/server

test:
	$(GO) vet ./...
	$(GO) test -race -timeout $(TIMEOUT) ./...

# The same tests afresh: nothing is taken from the test cache.
race:
	$(GO) test -race -count=1 -timeout $(TIMEOUT) ./...

sim:
	$(GO) run ./server/sim/cmd/sim $(if $(SEED),-seed $(SEED),-seeds $(SEEDS) -first $(FIRST)) \
		$(if $(SHAPE),-shape $(SHAPE)) $(if $(FAULTS),-faults $(FAULTS)) $(if $(FOR),-for $(FOR)) $(if $(V),-v)

# A planted bug may live twice as long as a campaign of CI, not just as a short make sim.
mutants:
	$(GO) run ./server/sim/cmd/mutants -first $(FIRST) -seeds $(if $(filter file,$(origin SEEDS)),4000,$(SEEDS)) \
		$(if $(FOR),-for $(FOR)) $(if $(MUTANTS),-run '$(MUTANTS)')

# go test -fuzz takes one target of one package at a time.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		targets=$$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); \
		for target in $$targets; do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

profile: build
	bin/client bench --duration 10s --profile results/profile

gradescope:
	$(GO) run ./examples/gradescope -o bin/gradescope.zip -suite $(SUITE) -arch $(BUNDLE_ARCH) $(if $(GO_TARBALL),-go $(GO_TARBALL))

lint: proto-check
	@files=$$(gofmt -l $(SOURCES)); \
		if [ -n "$$files" ]; then echo "not gofmt'ed (run: gofmt -w FILE):"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) buf lint

proto:
	$(TOOL) buf generate

proto-check:
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && $(TOOL) buf generate -o "$$tmp" && \
		for f in proto/paxbank/v1/*.pb.go "$$tmp"/proto/paxbank/v1/*.pb.go; do \
			name=proto/paxbank/v1/$$(basename "$$f"); \
			cmp -s "$$name" "$$tmp/$$name" || { echo "$$name is not what make proto generates (run: make proto)"; exit 1; }; \
		done

e2e:
	.ci/e2e

clean:
	rm -rf bin
	find results -mindepth 1 -maxdepth 1 ! -name README.md ! -name sample -exec rm -rf {} +

# The comment at the head of this file.
help:
	@sed -n '/^#/!q; s/^# //p' $(firstword $(MAKEFILE_LIST))
