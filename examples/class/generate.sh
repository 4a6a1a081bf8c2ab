#!/usr/bin/env bash
# Makes a class of thirty submissions in a directory, to try the grader with:
#
#     examples/class/generate.sh DIR
#     bin/client grade DIR/* --suite examples/class/suite.yaml
#
# Four are right, each in a way of its own; seventeen have one mistake each
# (examples/node-bank --bug); the others hang, crash, fork without end, do not build,
# lack a manifest, fill the disk or have only empty handlers, and two are right but
# flood their output or attack the grader. DIR/../expected.csv says what each has to
# get: 100, less than 100, or 0. It needs make build, and npm ci in examples/node-bank.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 64; }
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
cd "$root"
[ -x bin/server ] || { echo "$0: bin/server is missing: make build" >&2; exit 69; }
[ -d examples/node-bank/node_modules ] || { echo "$0: examples/node-bank has no node_modules: npm ci" >&2; exit 69; }

args='--id {id} --listen {listen} --data {data}'
number=0
printf 'submission,points\n' >"$dir/../expected.csv"
# submission NAME POINTS begins one and sets d to its directory.
submission() {
	number=$((number + 1))
	local name
	name=$(printf 's%02d-%s' "$number" "$1")
	d=$dir/$name
	mkdir "$d"
	printf '%s,%s\n' "$name" "$2" >>"$dir/../expected.csv"
}
# node_bank [FLAGS] puts the bank in Node.js into $d; the suite provides the contract
# as proto.
node_bank() {
	cp -R examples/node-bank/. "$d"
	sed -i "s|'../../proto'|'./proto'|" "$d/node.js"
	printf 'node: node node.js %s%s\n' "$args" "${1:+ $1}" >"$d/paxbank.yaml"
}
own() {
	cp bin/server "$d/server"
	printf 'node: ./server %s\n' "$args" >"$d/paxbank.yaml"
}

submission right 100 && node_bank
for v in slow last-leads; do submission "$v" 100 && node_bank "--variation $v"; done
submission own 100 && own
for bug in $(sed -n 's/^bug,\([^,]*\),.*/\1/p' examples/node-bank/variants.csv | sort -u); do
	submission "$bug" '<100' && node_bank "--bug $bug"
done
submission hang 0
printf 'node: sleep 1000 {id} {listen} {data}\n' >"$d/paxbank.yaml"
submission crash 0
printf "node: sh -c 'echo no such luck; exit 1' %s\n" "$args" >"$d/paxbank.yaml"
submission fork 0 && own
printf 'bomb() { bomb | bomb & }\nbomb\nsleep 60\n' >"$d/build"
printf 'build: bash ./build\n' >>"$d/paxbank.yaml"
submission flood 100 && own
printf 'yes "all work and no play makes jack a dull boy" | head -c 500000000 &\nexec ./server "$@"\n' >"$d/start"
printf 'node: bash ./start %s\n' "$args" >"$d/paxbank.yaml"
submission nobuild 0 && own
printf 'build: sh -c "echo no compiler here; exit 1"\n' >>"$d/paxbank.yaml"
submission attack 100 && own
cat >"$d/build" <<EOF
# Reads what is expected, and overwrites grades.
for f in '$root'/examples/class/tests/*.csv '$root'/examples/class/suite.yaml '$dir'/s01-right/paxbank.yaml; do
	grep -q . "\$f" && exit 42
done 2>/dev/null
for f in '$root'/results/class/*/submissions/*/grade.json '$root'/results/class/*/gradebook.csv; do
	echo '{"score": 100}' >"\$f"
done 2>/dev/null
exit 0
EOF
printf 'build: sh ./build\n' >>"$d/paxbank.yaml"
submission empty 0
echo 'I will hand it in tomorrow.' >"$d/README"
submission disk 0 && own
printf 'while :; do head -c 100000000 /dev/zero >>"$6/fill"; done\n' >"$d/start"
printf 'node: bash ./start %s\n' "$args" >"$d/paxbank.yaml"
submission starter 0
go build -o "$d/starter" ./examples/starter-go
printf 'node: ./starter %s\n' "$args" >"$d/paxbank.yaml"
echo "$number submissions in $1"
