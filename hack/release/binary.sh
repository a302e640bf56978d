#!/usr/bin/env bash
# Builds the program for one machine, and packs it with its licence: dist/coxswain_<version>_<os>_<arch>.tar.gz.
#
# TARGET   a Rust target, such as x86_64-unknown-linux-musl; BINARY names a program that is built already
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
: "${TARGET:?say which: TARGET=x86_64-unknown-linux-musl}"
case $TARGET in
x86_64-unknown-linux-musl) platform=linux_amd64 ;;
aarch64-unknown-linux-musl) platform=linux_arm64 ;;
x86_64-apple-darwin) platform=darwin_amd64 ;;
aarch64-apple-darwin) platform=darwin_arm64 ;;
*) die "TARGET=$TARGET is not released; add it here, in krew.sh and in the workflow" ;;
esac
if [ -z "${BINARY:-}" ]; then
	rust
	BINARY=$CARGO_TARGET_DIR/$TARGET/release/coxswain
	run rustup target add "$TARGET"
	run cargo build --release --locked --target "$TARGET" --bin coxswain
fi
archive=coxswain_${version}_$platform.tar.gz
mkdir -p "$dist"
# The same input makes the same archive, on Linux and macOS.
run python3 hack/release/archive.py "$dist/$archive" "$BINARY" LICENSE
printf '%s\n' "$archive"
