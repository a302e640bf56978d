#!/usr/bin/env bash
# Prints the changelog's section of this version; of one that is being prepared, [Unreleased] with UNRELEASED=1.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
heading=$version
[ "${UNRELEASED:-}" != 1 ] || heading=Unreleased
notes=$(awk -v heading="## [$heading]" 'index($0, heading) == 1 { on = 1; next } /^## \[/ { on = 0 } on' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || die "CHANGELOG.md has no section [$heading]: rename [Unreleased], and add a new one above it"
printf '%s\n' "$notes"
