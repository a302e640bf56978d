#!/usr/bin/env bash
# Builds and pushes the image for all architectures, with provenance and a bill of materials, and notes its digest.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
wanted docker "it builds the image"
mkdir -p "$dist"
run docker buildx build --platform linux/amd64,linux/arm64 --push --provenance=mode=max --sbom=true \
	--label "org.opencontainers.image.version=$version" --tag "$image:$version" --metadata-file "$dist/image.json" .
if [ "${COXSWAIN_DRY_RUN:-}" != 1 ]; then
	python3 -c 'import json, sys; print(json.load(sys.stdin)["containerimage.digest"])' <"$dist/image.json" >"$dist/image.digest"
fi
