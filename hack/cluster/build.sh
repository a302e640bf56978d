#!/bin/sh
# Builds the "cluster" program and prints its path, which is the only line on stdout.
#
# The binary is kept outside of the source tree, in a directory named after a hash of its sources: when they have not
# changed, this returns at once. GOFLAGS, GOPROXY and the like are the caller's.
set -eu

kubernetes=v1.34.4 # must be what go.mod requires

say() { printf '%s\n' "$*" >&2; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$here"

if [ -z "${COXSWAIN_CACHE:-}" ]; then
	COXSWAIN_CACHE=${XDG_CACHE_HOME:-${HOME:?set HOME, XDG_CACHE_HOME or COXSWAIN_CACHE}/.cache}/coxswain
fi

hash=$(
	find . -type f ! -path "./selftest/*" \( -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum -o -name build.sh \) -print |
		LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16
)
directory=$COXSWAIN_CACHE/cluster-$hash
binary=$directory/cluster

if [ -x "$binary" ]; then
	printf '%s\n' "$binary"
	exit 0
fi

# Debian's golang-1.N-go are not in PATH.
go=
needed=$(sed -n 's/^go //p' go.mod)
for candidate in go /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
	command -v "$candidate" >/dev/null 2>&1 || continue
	# In this module a go >= 1.21 first fetches the toolchain that go.mod asks for, if it has to.
	if reason=$("$candidate" list -m 2>&1); then
		go=$candidate
		break
	fi
done
if [ -z "$go" ]; then
	[ -z "${reason:-}" ] || say "$reason"
	say "build.sh: no Go that can build this. Run $here/install-deps.sh as root (Debian, Ubuntu), or install"
	say "Go $needed or newer from https://go.dev/dl/. Go 1.21 or newer does as well unless GOTOOLCHAIN=local."
	exit 1
fi
version=$("$go" version)

mkdir -p "$COXSWAIN_CACHE"
# One build at a time: a second caller would only take the processor from the first, and then finds its result.
exec 9>"$COXSWAIN_CACHE/cluster.lock"
if ! flock -n 9; then
	say "build.sh: another build is running: waiting for it"
	flock 9
fi
if [ -x "$binary" ]; then
	printf '%s\n' "$binary"
	exit 0
fi

say "build.sh: building Kubernetes $kubernetes and the cluster program with $version"
say "build.sh: the first build takes 5 to 10 minutes on two cores, and 5 GB for Go's caches; later ones take seconds"
rm -rf "$COXSWAIN_CACHE"/cluster-*.new
trap 'rm -rf "$directory".new' EXIT
trap 'exit 1' INT TERM HUP
mkdir "$directory".new
stamp="-X k8s.io/component-base/version.gitVersion=$kubernetes"
stamp="$stamp -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
stamp="$stamp -X k8s.io/component-base/version.gitTreeState=clean"
began=$(date +%s)
export CGO_ENABLED=0
# The names of five hundred modules help nobody; what goes wrong does.
if ! said=$({
	"$go" build -trimpath -ldflags "-s -w $stamp" -o "$directory".new/cluster . &&
		"$go" build -trimpath -ldflags "-s -w" -o "$directory".new/pause ./pause
} 2>&1); then
	printf '%s\n' "$said" | grep -v '^go: downloading ' >&2
	exit 1
fi
say "build.sh: built in $(($(date +%s) - began)) s"
rm -rf "$directory"
mv "$directory".new "$directory"

# Binaries of older sources; one that is in use goes on, because its file lives until it ends.
find "$COXSWAIN_CACHE" -maxdepth 1 -type d -name 'cluster-*' ! -name "cluster-$hash" -mtime +7 -exec rm -rf {} +

printf '%s\n' "$binary"
