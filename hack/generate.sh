#!/usr/bin/env bash
# Writes everything that is generated from the code: CRDs and roles, and their copies in config/ and the chart;
# the list of metrics; the copies of config/admission and config/prometheus, which are written by hand; and config/default
# as one file.
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

# The pages of the reference.
"$coxswain" docs --dir docs/reference

# The list of metrics, and the alerts as the Prometheus Operator and the chart have them.
"$coxswain" metrics --page docs/metrics.md
{
	cat <<-EOF
		# Generated from alerts.yaml; do not edit.
		apiVersion: monitoring.coreos.com/v1
		kind: PrometheusRule
		metadata:
		  name: coxswain
		  namespace: coxswain-system
		  labels:
		    app.kubernetes.io/name: coxswain
		spec:
	EOF
	sed '/^#/d; s/^/  /' config/prometheus/alerts.yaml
} >config/prometheus/prometheusrule.yaml
cp config/prometheus/{alerts.yaml,dashboard.json} charts/coxswain/monitoring/

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
