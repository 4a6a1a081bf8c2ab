#!/usr/bin/env bash
# Measures what docs/performance.md shows, one experiment after the other, and makes
# its tables and plots:
#
#     internal/gen/measure.sh                    all experiments
#     internal/gen/measure.sh clients rate       some of them
#     BASE=COMMIT internal/gen/measure.sh compare    the server of a commit and this one, by benchstat;
#                                                BASE_ENV='env GOMAXPROCS=2' runs the former so
#
# REPEAT=6 runs for each point, DURATION=5s measured of each after WARMUP=1s. Results
# go to OUT=results/measure, tables to OUT/tables, plots to docs/img. Nothing else may
# run meanwhile: it says how busy the machine is before each experiment.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec </dev/null

# The reports name the commit, where git can tell it.
GOFLAGS="${GOFLAGS:-} -buildvcs=true" make build || make build
REPEAT=${REPEAT:-6} DURATION=${DURATION:-5s} WARMUP=${WARMUP:-1s} OUT=${OUT:-results/measure}
mkdir -p "$OUT/tables"

# bench EXPERIMENT FLAG... is one point of an experiment.
bench() {
	local name=$1
	shift
	bin/client bench --repeat "$REPEAT" --duration "$DURATION" --warmup "$WARMUP" "$@" --results "$OUT/$name" >>"$OUT/$name.txt" 2>&1 ||
		echo "  $name $*: exit $?, see $OUT/$name.txt" >&2
}
plots() { go run ./internal/gen/plots "$@"; }

# table EXPERIMENT X FLAG... prints the medians of an experiment.
columns=committed_per_s,aborted_per_s,p50_us,p99_us,cpu_us_per_commit,fsyncs_per_s
table() {
	local name=$1 x=$2
	shift 2
	plots -x "$x" "$@" -table "$columns" "$OUT/$name"/bench/2*/performance.csv >"$OUT/tables/$name.md"
}
picture() {
	local file=$1 name=$2
	shift 2
	plots "$@" -out "docs/img/$file.svg" "$OUT/$name"/bench/2*/performance.csv
}
per_s='committed transfers/s'

targets() {
	bench targets-intra --floor
	bench targets-cross --cross 100
	bench targets-mix --read 10 --cross 22 --skew 0.99 --duration 10s --warmup 5s
	bench targets-reads --read 100
	bench targets-hot --hot 100:0.03
	bench targets-unary-64 --unary --clients 64 --inflight 1 --floor
	bench targets-unary-1024 --unary --clients 1024 --inflight 1
	bench targets-one --unary --clients 1 --inflight 1
	bench targets-one-cross --unary --clients 1 --inflight 1 --cross 100
	for f in "$OUT"/targets-*.txt; do
		echo "== $f"
		sed -n '/^Runs/,$p' "$f"
	done >"$OUT/tables/targets.txt"
}
clients() {
	for n in 1 4 16 64 256 1024 4096; do bench clients --clients $n --inflight 1; done
	table clients clients
	picture clients clients -x clients -title 'Throughput by clients' -xlabel 'clients, one transfer each under way' -ylabel "$per_s"
	picture clients-latency clients -x clients -y p99_us -title 'Latency by clients' -xlabel 'clients, one transfer each under way' \
		-ylabel '99th percentile of latency, µs'
}
rate() {
	for r in 5000 10000 20000 40000 80000 120000 160000 200000; do bench rate --rate $r; done
	table rate target_per_s
	picture rate rate -x target_per_s -y p99_us -title 'Latency by load' -xlabel 'transfers/s that begin' -ylabel '99th percentile of latency, µs'
}
cross() {
	for c in 0 5 10 20 40 60 80 100; do bench cross --cross $c; done
	table cross cross_percent
	picture cross cross -x cross_percent -title 'Throughput by cross-shard share' -xlabel 'cross-shard share of the transfers, %' -ylabel "$per_s"
}
skew() {
	for c in 0 20; do
		for s in 0 0.4 0.8 0.9 0.99; do bench skew --skew $s --cross $c; done
	done
	table skew skew -series cross_percent
	picture skew skew -x skew -series cross_percent -title 'Throughput by skew' -xlabel 'Zipf exponent' -ylabel "$per_s"
}
size() {
	for n in 1 3 5 7; do bench size --nodes-per-cluster $n --cross 20; done
	table size nodes
	picture size size -x nodes -title 'Throughput by cluster size' -xlabel 'nodes of three clusters' -ylabel "$per_s"
}
clusters() {
	for n in 1 2 3 4 6 8 12; do
		bench clusters --clusters $n --items $((3000 * n))
		[ $n -eq 1 ] || bench clusters --clusters $n --items $((3000 * n)) --cross 20
	done
	table clusters clusters -series cross_percent
	picture clusters clusters -x clusters -series cross_percent -title 'Throughput by number of clusters' -xlabel 'clusters of three nodes' \
		-ylabel "$per_s"
}
reads() {
	for r in 0 50 90 100; do
		bench reads --read $r
		bench reads --read $r --unary
	done
	table reads read_percent -series submission
	picture reads reads -x read_percent -series submission -title 'Throughput by share of reads' -xlabel 'share of reads, %' \
		-ylabel 'committed operations/s'
}
# Each run fails the leaders of all three clusters, one after the other.
faults() {
	for f in pause kill; do
		REPEAT=7 DURATION=8s bench "faults-$f" --cross 20 --fault $f --fail n1@1s --recover n1@2500ms --fail n4@3s --recover n4@4500ms --fail n7@5s --recover n7@6500ms
		cat "$OUT/faults-$f"/bench/2*/bench.json |
			awk '/"runs": \[/ {r=1} r && /"what"/ {w=$2} r && /"first_commit_ms"/ && w ~ /fail/ {gsub(/[^0-9.]/, "", $2); print $2}' | sort -n |
			awk -v f="$f" '{v[NR]=$1} END {printf "%s: %d leaders failed, first commit after %.0f ms at the median, %.0f ms at most\n", f, NR, v[int((NR+1)/2)], v[NR]}'
	done >"$OUT/tables/faults.txt"
}
# sample PID DIR says what the nodes of a driver take now.
sample() {
	ps --ppid "$1" -o rss= | sort -n | awk -v at="$(date -u +%H:%M:%S)" '{s+=$1; m=$1} END {printf "%s  memory of the nodes %d MiB, of the largest %d MiB", at, s/1024, m/1024}'
	du -sm "$2/data" 2>/dev/null | awk '{printf ", disk %d MiB", $1}'
	grep -ho 'serves metrics on .*' "$2"/nodes/*.log | awk '{print $4}' | while read -r address; do
		curl -sm 5 "http://$address/metrics" | awk '$1 == "go_goroutines" {print $2}'
	done | sort -n | awk '{s+=$1; m=$1} END {printf ", goroutines %d, of one node at most %d\n", s, m}'
}
# watched EXPERIMENT SECONDS FLAG... runs a benchmark, and says every so often what its
# nodes take. They serve their metrics, on addresses that their logs name.
watched() {
	local name=$1 every=$2 run
	shift 2
	bin/client bench "$@" --results "$OUT/$name" \
		--node-cmd "$PWD/bin/server --id {id} --listen {listen} --data {data} --metrics 127.0.0.1:0" >"$OUT/$name.txt" 2>&1 &
	run=$!
	# shellcheck disable=SC2064
	trap "kill $run 2>/dev/null" EXIT # an interrupt ends the nodes too
	while sleep "$every" && kill -0 $run 2>/dev/null; do
		sample $run "$OUT/$name/bench/latest" || true # what ends or vanishes meanwhile
	done
	wait $run || echo "exit $?"
	trap - EXIT
	sed -n '/^Runs/,$p' "$OUT/$name.txt"
}
# One follower of each cluster is cut off for the whole run.
follower() {
	watched follower 15 --duration 120s --fail n2@1s --fail n5@1s --fail n8@1s >"$OUT/tables/follower.txt"
}
# Ten minutes of full load.
full() {
	watched full 60 --duration 10m >"$OUT/tables/full.txt"
}
# At 80 % of the peak, unless RATE says how much: a shared machine may have its peak in
# a good minute, and a load that it cannot carry in the worst of twenty is another test.
endurance() {
	local peak
	if [ -z "${RATE:-}" ]; then
		peak=$(bin/client bench --cross 20 --read 10 --repeat 3 --duration 5s --json --results "$OUT/peak" 2>/dev/null |
			awk '/"repeated"/{r=1} r && /"committed_per_s"/{c=1} c && /"median"/{gsub(/[^0-9.]/, ""); print int($0); exit}')
	fi
	echo "rate ${RATE:=$((peak * 8 / 10))}/s" >"$OUT/tables/endurance.txt"
	watched endurance 60 --cross 20 --read 10 --rate "$RATE" --duration "${ENDURANCE:-20m}" >>"$OUT/tables/endurance.txt"
}

# The server of BASE and this one, in turn.
compare() {
	local tree=$OUT/base i v name flags
	: "${BASE:?compare needs BASE=COMMIT}"
	git worktree add --detach "$tree" "$BASE" >/dev/null
	(cd "$tree" && go build -o server.base ./server)
	mv "$tree/server.base" "$OUT/server.base"
	git worktree remove --force "$tree"
	cp bin/server "$OUT/server.new"
	rm -f "$OUT"/compare-*.txt
	for ((i = 0; i < REPEAT; i++)); do
		while read -r name flags; do
			for v in base new; do
				# shellcheck disable=SC2086
				bin/client bench --duration "$DURATION" --warmup "$WARMUP" $flags --results "$OUT/compare" \
					--node-cmd "$([ $v = base ] && echo "${BASE_ENV:-env GOMEMLIMIT=112MiB}" || echo env GOMEMLIMIT=112MiB) $OUT/server.$v --id {id} --listen {listen} --data {data}" >>"$OUT/compare.txt" 2>&1 ||
					echo "  compare $name: exit $?, see $OUT/compare.txt" >&2
				sed "s/^BenchmarkTransfers[^ \t]*/Benchmark$name/" "$OUT/compare/bench/latest/gobench.txt" >>"$OUT/compare-$v.txt"
			done
		done <<-END
			Intra
			Cross --cross 100
			Mix --read 10 --cross 22 --skew 0.99
			Unary64 --unary --clients 64 --inflight 1
			Unary1024 --unary --clients 1024 --inflight 1
			One --unary --clients 1 --inflight 1
			OneCross --unary --clients 1 --inflight 1 --cross 100
		END
	done
	go tool -modfile=internal/tools/go.mod benchstat base="$OUT/compare-base.txt" new="$OUT/compare-new.txt" >"$OUT/tables/compare.txt"
}

for experiment in "${@:-targets clients rate cross skew size clusters reads faults follower full endurance}"; do
	for name in $experiment; do
		echo "$(date -u +%H:%M:%S) $name, load average $(cut -d' ' -f1 /proc/loadavg)"
		"$name"
	done
done
