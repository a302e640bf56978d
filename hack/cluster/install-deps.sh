#!/bin/sh
# Installs what "cluster up" needs for a node, and Go to build it, on Debian or Ubuntu. Run it as root; it asks nothing,
# says little, and does nothing where everything is there already.
#
#   install-deps.sh            everything
#   install-deps.sh --runtime  only what running a node needs, no Go
set -eu

say() { printf '%s\n' "install-deps.sh: $*" >&2; }

runtime_only=no
case "${1:-}" in
"") ;;
--runtime) runtime_only=yes ;;
-h | --help)
	sed -n 's/^# \{0,1\}//; 2,6p' "$0"
	exit 0
	;;
*)
	say "unknown argument $1; see --help"
	exit 2
	;;
esac

if ! command -v apt-get >/dev/null 2>&1; then
	say "this is neither Debian nor Ubuntu. Install by your own means: containerd (with ctr), runc, nftables, the CNI plugins"
	say "(loopback, ptp and host-local in /opt/cni/bin), mount, and Go 1.24 or newer."
	exit 1
fi

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# The node's programs, with the sbin directories that a plain user's PATH lacks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=
need() { # PROGRAM PACKAGE
	command -v "$1" >/dev/null 2>&1 || case " $missing " in *" $2 "*) ;; *) missing="$missing $2" ;; esac
}

# Any Go since 1.21 fetches the toolchain that go.mod asks for, unless it is told not to; an older one cannot even read it.
usable_go() {
	for candidate in go /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
		if command -v "$candidate" >/dev/null 2>&1 && (cd "$here" && "$candidate" list -m >/dev/null 2>&1); then
			printf '%s\n' "$candidate"
			return 0
		fi
	done
	return 1
}
# The package that has a Go which is new enough: Debian 12's golang-go is 1.19, its backports have newer ones.
go_package() {
	version=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}1\.\([0-9]*\).*/\2/p')
	if [ "${version:-0}" -ge 21 ]; then
		echo golang-go
		return
	fi
	for minor in 30 29 28 27 26 25 24 23 22 21; do
		if apt-cache show "golang-1.$minor-go" >/dev/null 2>&1; then
			echo "golang-1.$minor-go"
			return
		fi
	done
	say "no package has Go 1.21 or newer: enable this distribution's backports, or install Go from https://go.dev/dl/,"
	say "and run this again. \"--runtime\" leaves Go out: the program may be built on another machine."
	exit 1
}

need containerd containerd
need ctr containerd
need runc runc
need nft nftables
need mount mount
need flock util-linux
[ -x /usr/lib/cni/ptp ] || [ -x /opt/cni/bin/ptp ] || [ -x /usr/libexec/cni/ptp ] || missing="$missing containernetworking-plugins"

if [ "$runtime_only" = no ]; then
	if ! usable_go >/dev/null; then
		package=$(go_package) || exit 1
		missing="$missing $package"
	fi
	[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates" # for Go's downloads
fi

if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		say "missing:$missing. Run this as root: sudo $0"
		exit 1
	fi
	say "installing:$missing"
	had_containerd=$(command -v containerd || true)

	# The package would start a containerd of its own at once. Ours does not need it, and it would do no harm to ours, but
	# nobody asked for it. A policy that somebody else has put there stays.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT INT TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of packages
	if ! output=$(apt-get install -y -qq --no-install-recommends $missing 2>&1); then
		# The usual reason: the lists of packages are missing or old.
		if ! output=$(apt-get update -qq 2>&1 && apt-get install -y -qq --no-install-recommends $missing 2>&1); then
			printf '%s\n' "$output" >&2
			say "apt-get failed; the reason is above"
			exit 1
		fi
	fi
	# Nor should it start with the machine.
	if [ -z "$had_containerd" ] && command -v systemctl >/dev/null 2>&1; then
		systemctl disable containerd.service >/dev/null 2>&1 || true
	fi
fi

if [ "$runtime_only" = no ] && ! usable_go >/dev/null; then
	say "the Go that is installed cannot build this: with GOTOOLCHAIN=local it would have to be $(sed -n 's/^go //p' "$here/go.mod") or newer"
	exit 1
fi
say "everything is installed"
