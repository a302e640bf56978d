#!/usr/bin/env bash
# Installs what building and testing Coxswain needs on Debian or Ubuntu, with apt: as root, without questions, again and
# again without harm.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

can_run_containers || die "this installs packages with apt: run it as root on Debian or Ubuntu"

packages=(build-essential ca-certificates curl git musl-tools shellcheck)
command -v cargo >/dev/null || [ -x "$HOME/.cargo/bin/cargo" ] || packages+=(rustup)
missing=()
for package in "${packages[@]}"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	[[ " ${missing[*]} " != *" rustup "* ]] || apt-cache show rustup >/dev/null 2>&1 ||
		die "this distribution has no package of rustup: install Rust from https://rustup.rs, and run this again"
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
rust
if command -v rustup >/dev/null; then
	rustup show active-toolchain >/dev/null 2>&1 || rustup toolchain install stable --profile minimal -c clippy,rustfmt >&2
	rustup component list --installed | grep -q clippy || rustup component add clippy rustfmt >&2
fi
"$repo/hack/cluster/install-deps.sh"
