#!/usr/bin/env bash
# Builds the operator's image without Docker: a static binary, a CA bundle and a bill of materials, nothing else. Prints the
# path of the tar. With Docker, `docker build .` makes the same of Dockerfile.
#
#   operator-image.sh            the tar's path
#   operator-image.sh --both     the path of the static binary, and below it the tar's
#
# IMAGE   the image's name (default ghcr.io/coxswain-dev/coxswain:<version>)
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
rust

largest=25000000
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
key=$(sha256sum "$binary" "$repo/hack/operator-image.sh" "$repo/hack/sbom.sh" | sha256sum | cut -c1-16)
tar=$cache/images/coxswain-$key.tar
if [ ! -f "$tar" ]; then
	root=$(mktemp -d)
	trap 'rm -rf "$root"' EXIT
	install -D -m 0755 "$binary" "$root/coxswain"
	install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
	"$repo/hack/sbom.sh" "$target" >"$root/sbom.cdx.json"
	mkdir -p "$cache/images"
	labels=(
		--label org.opencontainers.image.title=coxswain
		--label "org.opencontainers.image.description=Heals and delivers services on Kubernetes by declared sequences"
		--label "org.opencontainers.image.version=$version"
		--label "org.opencontainers.image.revision=$(git -C "$repo" rev-parse HEAD 2>/dev/null || echo unknown)"
		--label org.opencontainers.image.source=https://github.com/coxswain-dev/coxswain
		--label org.opencontainers.image.licenses=Apache-2.0
	)
	"$(cluster_tool)" build-image --tag "$image" --rootfs "$root" --entrypoint '["/coxswain"]' --user 65532:65532 \
		"${labels[@]}" 		--output "$tar.new" >&2
	mv "$tar.new" "$tar"
	find "$cache/images" -maxdepth 1 -name 'coxswain-*.tar' ! -path "$tar" -mtime +7 -delete
fi
size=$(stat -c %s "$tar")
[ "$size" -le "$largest" ] || die "the image has $size bytes, more than the $largest that docs/install.md promises: find what has grown"
printf '%s\n' "$tar"
