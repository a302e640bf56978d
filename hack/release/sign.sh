#!/usr/bin/env bash
# Signs the image by its digest, keyless, with the workflow's own identity, and attests its bill of materials.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
wanted cosign "https://docs.sigstore.dev/cosign/system_config/installation/"
digest=sha256:dry-run
[ "${COXSWAIN_DRY_RUN:-}" = 1 ] || digest=$(cat "$(file image.digest)")
mkdir -p "$dist"
[ "${COXSWAIN_DRY_RUN:-}" = 1 ] || hack/sbom.sh >"$dist/sbom.cdx.json"
run cosign sign --yes "$image@$digest"
run cosign attest --yes --type cyclonedx --predicate "$dist/sbom.cdx.json" "$image@$digest"
