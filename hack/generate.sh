#!/usr/bin/env bash
# Writes everything that is generated from the code: CRDs and roles, and their copies in config/ and the chart.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
rust
cd "$repo"
cargo build --quiet --bin coxswain
coxswain=$CARGO_TARGET_DIR/debug/coxswain
"$coxswain" crds --dir crds
"$coxswain" crds --dir config/crd/bases
"$coxswain" crds --chart charts/coxswain
"$coxswain" rbac --dir config/rbac
"$coxswain" rbac --chart charts/coxswain
