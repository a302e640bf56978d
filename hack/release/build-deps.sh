#!/usr/bin/env bash
# Installs what building for this machine needs: on Linux musl's C compiler wrapper, with apt; elsewhere nothing.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"

if [ "$(uname -s)" = Linux ]; then
	run sudo apt-get update -qq
	run sudo apt-get install -y -qq --no-install-recommends musl-tools
fi
