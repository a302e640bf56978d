# Shared by the scripts of hack/: where caches are, how to say things, how to find the tools.
# shellcheck shell=bash

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${COXSWAIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coxswain}
# Build output stays outside the tree, so that a clone is as small as its sources.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
mkdir -p "$cache"

bold=''
plain=''
if [ -t 2 ]; then
	bold=$'\e[1m'
	plain=$'\e[0m'
fi

# say WHAT...: one line of progress.
say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }

# die WHAT...: an error with its remedy, and the end.
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# timed WHAT COMMAND...: runs it and says how long it took.
timed() {
	local what=$1 started=$SECONDS
	shift
	say "$what"
	"$@"
	say "$what: $((SECONDS - started)) s"
}

# quietly COMMAND...: what it says is shown only if it fails.
quietly() {
	local said
	said=$("$@" 2>&1) || {
		printf '%s\n' "$said" >&2
		die "failed: $*"
	}
}

# cluster_tool: prints the path of the `cluster` binary, built when the cache has none.
cluster_tool() { "$repo/hack/cluster/build.sh"; }

# can_run_containers: whether this machine can run the full cluster.
can_run_containers() { [ "$(id -u)" = 0 ] && [ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null; }

# need COMMAND REMEDY
need() { command -v "$1" >/dev/null || die "'$1' is missing: $2"; }

# rust: makes sure that cargo is on PATH; rustup, if it is there, takes the toolchain from rust-toolchain.toml.
rust() {
	# shellcheck source=/dev/null
	[ ! -f "$HOME/.cargo/env" ] || . "$HOME/.cargo/env"
	need cargo "install Rust from https://rustup.rs, or run make install-deps as root"
}
