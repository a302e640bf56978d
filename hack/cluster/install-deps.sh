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
need containerd containerd
need ctr containerd
need runc runc
need nft nftables
need mount mount
need flock util-linux
[ -x /usr/lib/cni/ptp ] || [ -x /opt/cni/bin/ptp ] || [ -x /usr/libexec/cni/ptp ] || missing="$missing containernetworking-plugins"

if [ "$runtime_only" = no ]; then
	need go golang-go
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

if [ "$runtime_only" = no ]; then
	# Any Go since 1.21 fetches the toolchain that go.mod asks for, unless it is told not to. Debian 12's own is older.
	needed=$(sed -n 's/^go //p' "$here/go.mod")
	if ! (cd "$here" && go version) >/dev/null 2>&1; then
		say "$(go version 2>&1 | head -n 1): too old to build for Go $needed, and too old to fetch a newer one."
		say "Install Go $needed or newer: a package golang-1.24-go or newer (Debian backports has it), or https://go.dev/dl/"
		exit 1
	fi
fi
say "everything is installed"
