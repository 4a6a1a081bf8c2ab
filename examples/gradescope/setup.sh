#!/usr/bin/env bash
# Gradescope runs this as root when it builds the image, with the bundle unpacked in
# /autograder/source. It needs no network, as long as nothing is missing that only a
# network has: then it says so. What submissions themselves need beside Go and
# Node.js is for you to add here.
set -euo pipefail

root=${AUTOGRADER_ROOT:-/autograder}
# Where Go goes when the bundle brings it, as <tools>/go.
tools=${AUTOGRADER_TOOLS:-/usr/local}
source=$root/source
export PATH=$PATH:$tools/go/bin

say() { printf 'setup: %s\n' "$*"; }

chmod 755 "$source/client" "$source/run_autograder"
cp "$source/run_autograder" "$root/run_autograder"

# Compilers and runtimes. Distributions have older versions of Go than the modules
# of the bundle ask for, so apt comes last.
if ! command -v go >/dev/null; then
	if [ -f "$source/go.tar.gz" ]; then
		say "unpacking the bundle's Go into $tools"
		mkdir -p "$tools"
		tar -C "$tools" -xzf "$source/go.tar.gz"
	elif command -v apt-get >/dev/null && [ "${AUTOGRADER_OFFLINE:-}" = "" ]; then
		say "no Go here and none in the bundle: trying apt"
		{ apt-get update && apt-get install -y --no-install-recommends golang-go; } || say "apt has no Go for us"
	fi
fi
if command -v go >/dev/null; then
	say "Go: $(go env GOVERSION)"
else
	say "MISSING: no Go compiler. Submissions in Go will not build. Pack the bundle with"
	say "MISSING: make gradescope GO_TARBALL=go1.….linux-amd64.tar.gz, or choose a base image that has one."
fi

# Compiled now, the packages of others need not be compiled for every submission.
mkdir -p "$source/gocache"
if command -v go >/dev/null && [ -d "$source/warm" ]; then
	say "compiling ahead"
	if (
		cd "$source/warm"
		export GOCACHE=$source/gocache GOMODCACHE=$source/gomodcache GOPROXY=file://$source/modules
		export GOSUMDB=off GOTOOLCHAIN=local GOFLAGS='-trimpath -modcacherw'
		xargs go build <packages
	); then
		say "compiled ahead: $(du -sm "$source/gocache" | cut -f1) MiB"
	else
		say "WARNING: compiling ahead failed; see above. Submissions in Go take longer to build, or do not."
	fi
	rm -rf "$source/gomodcache"
fi
if command -v node >/dev/null; then
	say "Node.js: $(node --version)"
else
	say "MISSING: no Node.js. Submissions in JavaScript will not start."
fi

# The grader runs here, its suite is whole, and this container has room for it. The
# container that builds images may be another than those that grade, which look
# again; so too little room is no reason to stop.
. "$source/bundle.env"
rc=0
"$source/client" grade --check --suite "$source/$SUITE" || rc=$?
case $rc in
0) say "the grader is ready" ;;
69) say "WARNING: grading would be refused in a container like this one; see above" ;;
*)
	say "the grader does not work here (exit code $rc); see above"
	exit 1
	;;
esac
