#!/usr/bin/env bash
# Builds the operator's image: a static binary and a CA bundle, nothing else. Prints the path of the tar.
#
#   operator-image.sh            the tar's path
#   operator-image.sh --both     the path of the static binary, and below it the tar's
#
# IMAGE   the image's name (default ghcr.io/coxswain-dev/coxswain:<version>)
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
rust

target=$(uname -m)-unknown-linux-musl
need musl-gcc "apt-get install musl-tools"
if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$target"; then
	rustup target add "$target" >&2
fi
binary=$CARGO_TARGET_DIR/$target/release/coxswain
if [ -f "$binary" ]; then
	say "building the operator, as far as it has changed"
else
	say "building the operator ($target, release; about 5 minutes on 2 cores)"
fi
cargo build --quiet --release --locked --target "$target" --bin coxswain --manifest-path "$repo/Cargo.toml" >&2
[ "${1:-}" != --both ] || printf '%s\n' "$binary"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repo/Cargo.toml" | head -n 1)
image=${IMAGE:-ghcr.io/coxswain-dev/coxswain:$version}
tar=$cache/images/coxswain-$(sha256sum "$binary" | cut -c1-16).tar
if [ ! -f "$tar" ]; then
	root=$(mktemp -d)
	trap 'rm -rf "$root"' EXIT
	install -D -m 0755 "$binary" "$root/coxswain"
	install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
	mkdir -p "$cache/images"
	"$(cluster_tool)" build-image --tag "$image" --rootfs "$root" --entrypoint '["/coxswain"]' --user 65532:65532 \
		--output "$tar.new" >&2
	mv "$tar.new" "$tar"
	find "$cache/images" -maxdepth 1 -name 'coxswain-*.tar' ! -path "$tar" -mtime +7 -delete
fi
printf '%s\n' "$tar"
