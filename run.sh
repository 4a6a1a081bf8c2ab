#!/usr/bin/env bash
# Builds client and server and runs test sets: ./run.sh [ARGS of client run].
# Without a test set among ARGS it runs testsets/course.csv. It works from any
# directory; file names in ARGS are relative to that directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

echo "building…" >&2
# Two of these may run at once, so each builds into a directory of its own and
# renames the finished programs, which also works while the old ones run. The
# copies let go build see that nothing has changed.
mkdir -p "$here/bin"
build=$(mktemp -d "$here/bin/.build.XXXXXX")
trap 'rm -rf "$build"' EXIT
cp -p "$here/bin/client" "$here/bin/server" "$build/" 2>/dev/null || true
(cd "$here" && go build -o "$build/" ./client ./server)
mv -f "$build/client" "$here/bin/client"
mv -f "$build/server" "$here/bin/server"
rm -rf "$build"
trap - EXIT

if [ "$PWD" != "$here" ]; then
	export PAXBANK_RESULTS="${PAXBANK_RESULTS:-$here/results}"
	export PAXBANK_TESTSET="${PAXBANK_TESTSET:-$here/testsets/course.csv}"
else
	export PAXBANK_TESTSET="${PAXBANK_TESTSET:-testsets/course.csv}"
fi
exec "$here/bin/client" run "$@"
