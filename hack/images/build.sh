#!/usr/bin/env bash
# Builds the images that the tutorial and the tests run, from what package registries provide: no image registry, no
# Docker. Each image is one recipe in recipes/; its tar is cached under a hash of everything that goes into it.
#
#   build.sh [--only NAME]... [OUTDIR]   print the tars' paths, one a line; with OUTDIR, of copies named NAME.tar there
#   build.sh --list                      print NAME and TAG of each image
#   build.sh --helm                      print the path of the helm binary that goes into the helm image
#   build.sh --helm4                     print the path of a helm 4 binary
#   build.sh --prometheus                print the path of the prometheus binary that goes into the prometheus image;
#                                        promtool lies beside it, under the same name and .promtool
#
# COXSWAIN_CACHE   where to cache (default ${XDG_CACHE_HOME:-~/.cache}/coxswain)
# COXSWAIN_DEBIAN  where Debian packages come from (default http://deb.debian.org)
# CLUSTER          the `cluster` binary that packs images (default: built by hack/cluster/build.sh when needed)
set -euo pipefail
shopt -s inherit_errexit # a failure inside $(...) ends the build too

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
cache=${COXSWAIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coxswain}
readonly here repo cache
# shellcheck source=lib.sh
. "$here/lib.sh"

readonly all=(busybox helm locust prometheus helloservice) # alertmanager only when it is asked for

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

# Reads one recipe into: tag, base (another recipe's name, or empty), inputs (files below the repo), flags (for
# `cluster build-image`) and the function `rootfs DIR`.
recipe() {
	[[ $1 =~ ^[a-z]+$ && -f $here/recipes/$1.sh ]] ||
		die "there is no image '$1'; there are: $(cd "$here/recipes" && printf '%s ' *.sh | sed 's/\.sh//g')"
	tag='' base='' inputs=() flags=()
	# shellcheck source=/dev/null
	. "$here/recipes/$1.sh"
}

# key NAME: the hash of all that decides the image's content. Paths are hashed too, relative to the repo.
key() (
	recipe "$1"
	cd "$repo"
	{
		uname -m
		sha256sum hack/images/lib.sh "hack/images/recipes/$1.sh"
		[ ${#inputs[@]} = 0 ] || find "${inputs[@]}" -type f -not -name '*_test.go' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
		[ -z "$base" ] || key "$base"
	} | sha256sum | cut -c1-16
)

# image NAME: prints the path of its tar, which it builds if the cache has none.
image() (
	name=$1
	tar=$cache/images/$name-$(key "$name").tar
	if [ ! -f "$tar" ]; then
		# Two builds at a time would each do the whole work; the second one waits, and then finds it done.
		exec 9>"$cache/images/.$name.lock"
		flock 9
	fi
	if [ ! -f "$tar" ]; then
		[ "$(id -u)" = 0 ] || die "$name must be built first, and that needs root (sudo --preserve-env=HOME,PATH $0)"
		base_tar=
		recipe "$name"
		[ -z "$base" ] || base_tar=$(image "$base")
		packer=$(packer)
		started=$SECONDS
		say "building $tag"
		mkdir "$scratch/$name"
		rootfs "$scratch/$name"
		"$packer" build-image --tag "$tag" --rootfs "$scratch/$name" ${base_tar:+--base "$base_tar"} "${flags[@]}" --output "$scratch/$name.tar" >&2
		mv "$scratch/$name.tar" "$tar"
		say "built $tag in $((SECONDS - started)) s, $(du -h --apparent-size "$tar" | cut -f1)"
	fi
	touch "$tar" # its last use, by which old ones are removed
	find "$cache/images" -maxdepth 1 -name "$name-*.tar" -mtime +14 -delete
	printf '%s\n' "$tar"
)

# The cache's directories, and one for what is unfinished: it goes away however this ends.
prepare() {
	mkdir -p "$cache/images" "$cache/bin"
	scratch=$(mktemp -d "$cache/.images.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
}

# prometheus_binary: prints the path of Debian's prometheus, unpacked but not installed: that would start it as a service.
prometheus_binary() {
	local deb program
	deb=$(debs prometheus | only prometheus)
	program=$cache/bin/$(basename "$deb" .deb)
	if [ ! -x "$program" ] || [ ! -x "$program.promtool" ]; then
		mkdir "$scratch/prometheus"
		unpack "$scratch/prometheus" <<<"$deb"
		mv "$scratch/prometheus/usr/bin/promtool" "$program.promtool"
		mv "$scratch/prometheus/usr/bin/prometheus" "$program"
	fi
	printf '%s\n' "$program"
}

main() {
	local only=() out='' name tar
	while [ $# -gt 0 ]; do
		case $1 in
		--only)
			[ $# -ge 2 ] || die "--only needs the name of an image"
			only+=("$2")
			shift
			;;
		--list)
			for name in "${all[@]}"; do (recipe "$name" && printf '%s\t%s\n' "$name" "$tag"); done
			return
			;;
		--helm)
			prepare
			helm_binary
			return
			;;
		--helm4)
			prepare
			helm_binary "$helm4_version"
			return
			;;
		--prometheus)
			prepare
			prometheus_binary
			return
			;;
		-h | --help)
			usage
			return
			;;
		-*) die "unknown flag $1 (see --help)" ;;
		*)
			[ -z "$out" ] || die "one OUTDIR at most; there are '$out' and '$1'"
			out=$1
			;;
		esac
		shift
	done
	[ ${#only[@]} -gt 0 ] || only=("${all[@]}")
	for name in "${only[@]}"; do (recipe "$name"); done # a misspelled name ends here, not after the others' minutes
	prepare
	[ -z "$out" ] || mkdir -p "$out"
	for name in "${only[@]}"; do
		tar=$(image "$name")
		if [ -n "$out" ]; then
			cp --reflink=auto "$tar" "$out/$name.tar"
			tar=$out/$name.tar
		fi
		printf '%s\n' "$tar"
	done
}

main "$@"
