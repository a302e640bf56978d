# What the recipes share: messages, Debian packages, the helm binary. Sourced by build.sh, which sets $here,
# $repo, $cache, and $scratch, a directory that is removed at the end.

say() { printf 'images: %s\n' "$*" >&2; }
die() {
	say "error: $*"
	exit 1
}

# need COMMAND PACKAGE: installs the package of the host that has the command, if it is missing.
need() {
	command -v "$1" >/dev/null && return
	[ "$(id -u)" = 0 ] || die "'$1' is missing, and only root can install it: apt-get install $2"
	command -v apt-get >/dev/null || die "'$1' is missing, and this is no Debian or Ubuntu: install it (there: $2)"
	say "installing $2 (for $1)"
	apt-get -qq update >&2 && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$2" >&2
}

need_go() { command -v go >/dev/null || die "'go' is missing: install Go 1.25 or newer (https://go.dev/dl)"; }

# The program that packs a directory as an image.
packer() {
	if [ -n "${CLUSTER:-}" ]; then
		printf '%s\n' "$CLUSTER"
	else
		"$repo/hack/cluster/build.sh"
	fi
}

# --- Debian packages -------------------------------------------------------------------------------------------------
# Always Debian 12's, whatever the host is, so that an image is the same everywhere. apt gets a state of its own with an
# empty list of installed packages, so it resolves, verifies and downloads whole closures and installs nothing here.

apt_isolated() {
	apt-get -qq \
		-o Dir::Etc::SourceList="$cache/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State="$cache/apt/state" -o Dir::State::status="$cache/apt/status" -o Dir::Cache="$cache/apt/cache" \
		-o APT::Sandbox::User=root -o APT::Install-Recommends=false "$@"
}

# debs PACKAGE...: prints the file of each package in the closure, downloaded.
debs() {
	local key=/usr/share/keyrings/debian-archive-keyring.gpg debian=${COXSWAIN_DEBIAN:-http://deb.debian.org}
	command -v apt-get >/dev/null || die "'apt-get' is missing: these images are built on Debian or Ubuntu"
	[ -f $key ] || need "$key" debian-archive-keyring
	mkdir -p "$cache/apt/state/lists/partial" "$cache/apt/cache/archives/partial" "$cache/apt/empty/partial"
	exec 8>"$cache/apt/.lock"
	flock 8
	: >"$cache/apt/status"
	printf 'deb [signed-by=%s] %s %s main\n' \
		$key "$debian/debian" bookworm \
		$key "$debian/debian-security" bookworm-security >"$cache/apt/sources.list"
	say "downloading Debian packages: $*"
	if [ -z "$(find "$cache/apt/updated" -mmin -60 2>/dev/null)" ]; then
		apt_isolated update >&2
		touch "$cache/apt/updated"
	fi
	apt_isolated install -y --download-only "$@" >&2
	# What is downloaded already is not in the list of what there is to download: so with an empty directory.
	apt_isolated -o Dir::Cache::Archives="$cache/apt/empty" install -y --print-uris "$@" |
		awk -v dir="$cache/apt/cache/archives" '/^\047/ { print dir "/" $2 }'
	exec 8>&-
}

# only "NAMES" / without "NAMES": of the package files on stdin, those that are (not) of these packages.
only() { filter yes "$1"; }
without() { filter no "$1"; }
filter() {
	local deb name hit
	while read -r deb; do
		name=${deb##*/}
		[[ " $2 " == *" ${name%%_*} "* ]] && hit=yes || hit=no
		[ $hit != "$1" ] || printf '%s\n' "$deb"
	done
}

# unpack DIR: the package files on stdin, without maintainer scripts and without what nobody reads in an image.
unpack() {
	local deb count=0
	while read -r deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$1" --no-same-owner \
			--exclude=./usr/share/{doc,doc-base,man,info,locale,lintian,bug,applications,pixmaps,binfmts,menu} --exclude=./lib/systemd
		count=$((count + 1))
	done
	[ $count -gt 0 ] || die "no Debian package to unpack into ${1##*/}"
}

# libc DIR: what Debian's dynamic programs need; not the character sets that none of ours asks it for.
readonly libc_packages='libc6 libgcc-s1 gcc-12-base'
libc() {
	debs libc6 | only "$libc_packages" | unpack "$1"
	rm -rf "$1"/usr/lib/*-linux-gnu/{gconv,audit}
}

# ca_bundle DIR: Debian's (Mozilla's) certificate authorities. Never the host's own list, which may hold private ones.
ca_bundle() {
	mkdir -p "$scratch/ca" "$1/etc/ssl/certs"
	debs ca-certificates | only ca-certificates | unpack "$scratch/ca"
	cat "$scratch"/ca/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
}

# --- Helm ------------------------------------------------------------------------------------------------------------

readonly helm_version=v3.9.0 helm4_version=v4.3.2

# helm_binary [VERSION]: prints the path of a static helm, by default of the tutorial's version; builds it if the cache has
# none.
helm_binary() {
	local version=${1:-$helm_version} started=$SECONDS
	local helm=$cache/bin/helm-$version module=helm.sh/helm/${version%%.*}
	if [ ! -x "$helm" ]; then
		need_go
		say "building helm $version from its Go module (about 90 s on 2 cores)"
		# Outside of any module and without the caller's flags: the versions are Helm's own.
		(cd "$scratch" && GOBIN=$scratch/bin GOFLAGS='' CGO_ENABLED=0 go install -trimpath \
			-ldflags "-s -w -X $module/internal/version.version=$version" "$module/cmd/helm@$version" >&2)
		mv "$scratch/bin/helm" "$helm"
		say "built helm in $((SECONDS - started)) s"
	fi
	printf '%s\n' "$helm"
}
