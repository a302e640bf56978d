#!/usr/bin/env bash
# Writes the manifest for krew, kubectl's plugin manager, of the archives in dist: dist/coxswain.yaml.
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
from=https://github.com/coxswain-dev/coxswain/releases/download/$tag
manifest=$dist/coxswain.yaml
mkdir -p "$dist"
cat >"$manifest" <<YAML
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: coxswain
spec:
  version: $tag
  homepage: https://github.com/coxswain-dev/coxswain
  shortDescription: Heal and deliver services by declared sequences
  description: |
    Starts, follows, explains and steers what the operator Coxswain does: runs,
    problems, approvals, deliveries and quality gates.
  platforms:
YAML
for platform in linux_amd64 linux_arm64 darwin_amd64 darwin_arm64; do
	archive=coxswain_${version}_$platform.tar.gz
	[ -f "$dist/$archive" ] || die "$dist/$archive is not there: binary.sh makes it, once for each target"
	sum=$(sha256sum "$dist/$archive" | cut -d' ' -f1)
	cat >>"$manifest" <<YAML
    - selector: {matchLabels: {os: ${platform%_*}, arch: ${platform#*_}}}
      uri: $from/$archive
      sha256: $sum
      bin: coxswain
      files:
        - {from: coxswain, to: .}
        - {from: LICENSE, to: .}
YAML
done
printf '%s\n' "$manifest"
