#!/usr/bin/env bash
# Puts what is in dist on the release's page: archives, install.yaml, CRDs, bill of materials, krew's manifest, checksums.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
wanted gh "https://cli.github.com"
mkdir -p "$dist"
cp install.yaml "$dist/install.yaml"
cat crds/*.yaml >"$dist/crds.yaml"
hack/release/notes.sh >"$dist/notes.md" || [ "${COXSWAIN_DRY_RUN:-}" = 1 ]
cd "$dist"
rm -f SHA256SUMS
find . -maxdepth 1 -type f \( -name '*.tar.gz' -o -name '*.tgz' -o -name '*.yaml' -o -name '*.cdx.json' \) -printf '%P\n' |
	LC_ALL=C sort | xargs sha256sum >SHA256SUMS
mapfile -t files < <(cut -c67- SHA256SUMS)
run gh release create "$tag" --verify-tag --title "$tag" --notes-file notes.md SHA256SUMS "${files[@]}"
