# Shared by the scripts of hack/ci and hack/release. Needs common.sh.
# shellcheck shell=bash
: "${repo:?common.sh comes first}"

registry=${COXSWAIN_REGISTRY:-ghcr.io/coxswain-dev}
# shellcheck disable=SC2034 # the scripts use it
image=$registry/coxswain
# shellcheck disable=SC2034
charts=$registry/charts
# What a release consists of, one directory for all scripts.
dist=${COXSWAIN_DIST:-$repo/dist}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repo/Cargo.toml" | head -n 1)
# shellcheck disable=SC2034
tag=v$version

# run COMMAND...: with COXSWAIN_DRY_RUN=1 it is printed instead: what needs credentials, another machine or the network.
run() {
	if [ "${COXSWAIN_DRY_RUN:-}" = 1 ]; then
		printf '+ %s\n' "$*"
	else
		"$@"
	fi
}

# wanted TOOL REMEDY: as need, but nothing is missing for a dry run.
wanted() { [ "${COXSWAIN_DRY_RUN:-}" = 1 ] || need "$@"; }

# file NAME: the path of a file of the release that an earlier script made.
file() {
	[ "${COXSWAIN_DRY_RUN:-}" = 1 ] || [ -f "$dist/$1" ] || die "$dist/$1 is not there: run the step that makes it first"
	printf '%s\n' "$dist/$1"
}
