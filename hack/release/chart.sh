#!/usr/bin/env bash
# Packs the chart, pushes it as an OCI artifact, and signs it by its digest.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
helm=${HELM:-helm}
wanted "$helm" "install Helm 3 or 4, or set HELM"
wanted cosign "https://docs.sigstore.dev/cosign/system_config/installation/"
mkdir -p "$dist"
run "$helm" package charts/coxswain --destination "$dist"
if [ "${COXSWAIN_DRY_RUN:-}" = 1 ]; then
	run "$helm" push "$dist/coxswain-$version.tgz" "oci://$charts"
	digest=sha256:dry-run
else
	said=$("$helm" push "$(file "coxswain-$version.tgz")" "oci://$charts" 2>&1)
	digest=$(sed -n 's/^Digest: *//p' <<<"$said")
	[ -n "$digest" ] || die "helm push did not say the digest: $said"
fi
run cosign sign --yes "$charts/coxswain@$digest"
