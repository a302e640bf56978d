#!/usr/bin/env bash
# Whether the repository is what the tag says: one version everywhere, and a section of the changelog.
#
# TAG   the tag, such as v0.1.0
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
: "${TAG:?say which: TAG=v$version}"
[ "$TAG" = "$tag" ] || die "the tag is $TAG, and Cargo.toml has the version $version: change one of them"
for field in version appVersion; do
	chart=$(sed -n "s/^$field: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" charts/coxswain/Chart.yaml)
	[ "$chart" = "$version" ] || die "$field of charts/coxswain/Chart.yaml is $chart, not $version"
done
hack/release/notes.sh >/dev/null
say "$TAG can be released"
