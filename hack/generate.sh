#!/usr/bin/env bash
# Writes everything that is generated from the code: crds/, config/rbac, and the chart's copies.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
rust
cd "$repo"
cargo run --quiet -- crds --dir crds
cargo run --quiet -- rbac --dir .
