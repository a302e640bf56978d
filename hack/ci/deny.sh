#!/usr/bin/env bash
# Licences, sources, bans and known vulnerabilities of every crate, by deny.toml. Needs the network, for the advisories.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
cargo_deny=0.20.2
rust
[ -x "$cache/bin/cargo-deny" ] || run cargo install --quiet --locked --root "$cache" "cargo-deny@$cargo_deny"
run "$cache/bin/cargo-deny" --locked check
