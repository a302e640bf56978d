#!/usr/bin/env bash
# Writes everything that is generated from the code: CRDs and roles, and their copies in config/ and the chart;
# the chart's copy of config/admission, which is written by hand; and config/default as one file.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
rust
cd "$repo"
cargo build --quiet --bin coxswain
coxswain=$CARGO_TARGET_DIR/debug/coxswain
"$coxswain" crds --dir crds
"$coxswain" crds --dir config/crd/bases
"$coxswain" crds --chart charts/coxswain
"$coxswain" rbac --dir config/rbac
"$coxswain" rbac --chart charts/coxswain

# What the examples' job configs become.
for event in examples/v1-jobs/*/event.json; do
	example=${event%/event.json}
	"$coxswain" jobs --config "$example/job/config.yaml" --event "$event" >"$example/jobs.yaml"
done

# The same policies under the chart's switch; its ClusterRoles have the release's name.
for policy in config/admission/*.yaml; do
	[ "${policy##*/}" != kustomization.yaml ] || continue
	{
		printf '{{- if .Values.admissionPolicies.enabled }}\n# Generated from %s; do not edit.\n' "$policy"
		sed 's/ClusterRole coxswain/ClusterRole {{ include "coxswain.fullname" . }}/g' "$policy"
		printf '{{- end }}\n'
	} >"charts/coxswain/templates/admission/${policy##*/}"
done

hack/install-yaml.sh >install.yaml
