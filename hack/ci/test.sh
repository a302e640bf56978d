#!/usr/bin/env bash
# Everything that make test has, with nothing left out; as root, because it starts a cluster of its own.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
export CI=true
if [ "$(id -u)" = 0 ]; then
	run .ci/run
else
	run sudo --preserve-env=CI --set-home .ci/run
fi
