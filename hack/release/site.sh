#!/usr/bin/env bash
# Builds the pages of docs/ as a site, with mdBook, into site/. Links that leave docs/ go to the forge.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
mdbook=0.5.4
forge=https://github.com/coxswain-dev/coxswain/blob/$tag
rust
[ -x "$cache/bin/mdbook" ] || run cargo install --quiet --locked --root "$cache" "mdbook@$mdbook"
book=$(mktemp -d)
trap 'rm -rf "$book"' EXIT
cp -r docs book.toml "$book"
find "$book/docs" -maxdepth 1 -name '*.md' -exec sed -i "s#](\.\./#]($forge/#g" {} +
! grep -rn '](\.\./\.\./' "$book/docs" || die "this link leaves docs/ from below: write it from the repository's root"
run "$cache/bin/mdbook" build --dest-dir "$repo/site" "$book"
