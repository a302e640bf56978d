#!/usr/bin/env bash
# Brings up everything of the demo but Coxswain's own objects: namespaces, service account, the service with one replica,
# its load, Prometheus; and waits until Prometheus shows the service sick. Run again, it makes the service sick again.
#
#   setup.sh [remediation|escalation|control]          (default: remediation)
#   setup.sh --down [remediation|escalation|control]   remove it all again; Prometheus goes with the last of the three
#
# KUBECONFIG, KUBECTL (default kubectl) and HELM (default helm) say where and with what.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kubectl=${KUBECTL:-kubectl}
helm=${HELM:-helm}

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
	say "error: $*"
	exit 1
}

# retry SECONDS WHAT COMMAND...: until the command succeeds; its last output is shown if it never does.
retry() {
	local deadline=$((SECONDS + $1)) what=$2 out
	shift 2
	until out=$("$@" 2>&1); do
		[ $SECONDS -lt $deadline ] || die "$what; last seen: ${out:-nothing}"
		sleep 1
	done
	[ -z "$out" ] || printf '%s\n' "$out"
}

# quietly COMMAND...: what it says is shown only if it fails.
quietly() {
	local said
	said=$("$@" 2>&1) || {
		printf '%s\n' "$said" >&2
		die "failed: $*"
	}
}

# ask PROMQL: its one value, or nothing.
ask() {
	"$kubectl" -n monitoring exec deployment/prometheus -- promtool query instant http://localhost:9090 "$1" |
		sed -n 's/^.*=> \([^ ]*\) .*$/\1/p'
}

# How the objectives see it: the mean response time of the last half minute.
mean_time() {
	local of="{namespace=\"$app\",service=\"helloservice\"}[30s]"
	ask "sum(rate(http_response_time_seconds_main_page_sum$of)) / sum(rate(http_response_time_seconds_main_page_count$of)) > 0.6"
}

is_sick() {
	local value
	value=$(mean_time)
	[ -n "$value" ] && printf '%s' "$value"
}

up() {
	local chart work mean started=$SECONDS
	work=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "rm -rf '$work'" EXIT
	chart=$work/helloservice.tgz
	"$here/package-chart.sh" "$chart"

	say "namespaces, service account, files for the Jobs"
	quietly "$kubectl" apply -f "$files/namespaces.yaml" -f "$files/access.yaml"
	quietly "$kubectl" -n "$project" apply -k "$here/locust"
	"$kubectl" -n "$project" create configmap helloservice-chart --from-file="$chart" --dry-run=client -o yaml |
		quietly "$kubectl" -n "$project" apply -f -
	quietly "$kubectl" apply -k "$here/prometheus"

	say "the service, with one replica"
	# A Job that was stopped in the middle of an upgrade leaves the release locked for ever.
	if "$helm" status -n "$app" helloservice 2>/dev/null | grep -q '^STATUS: pending'; then
		say "the release is stuck in an unfinished upgrade: installing it anew"
		quietly "$helm" uninstall -n "$app" helloservice
	fi
	# --reset-values: without it, and without a value given here, Helm keeps the replicas of the last action.
	quietly "$helm" upgrade --install --reset-values -n "$app" helloservice "$chart" --wait --timeout 2m
	quietly "$kubectl" apply -f "$files/load.yaml"
	quietly "$kubectl" -n "$app" rollout status deployment/load --timeout=2m
	quietly "$kubectl" -n monitoring rollout status deployment/prometheus --timeout=2m

	say "waiting for Prometheus to show that it is sick"
	mean=$(retry 120 "Prometheus doesn't show a mean response time above 0.6 s" is_sick)
	say "sick: a request takes $(printf '%.2f' "$mean") s (after $((SECONDS - started)) s)"
}

down() {
	local others
	"$kubectl" delete --ignore-not-found --wait --timeout=2m -f "$files/namespaces.yaml" >&2
	others=$("$kubectl" get namespaces --ignore-not-found -o name fulltour escalation control)
	[ -n "$others" ] || "$kubectl" delete --ignore-not-found --wait --timeout=2m -f "$here/prometheus/namespace.yaml" >&2
}

act=up
if [ "${1:-}" = --down ]; then
	act=down
	shift
fi
[ $# -le 1 ] || die "one variant at a time; there are '$*'"
case ${1:-remediation} in
remediation) project=fulltour files=$here ;;
escalation | control) project=$1 files=$here/$1 ;;
*) die "there is no variant '$1'; there are: remediation, escalation, control" ;;
esac
app=$project-production
command -v "$kubectl" >/dev/null || die "'$kubectl' is missing: install it, or set KUBECTL"
[ $act = down ] || command -v "$helm" >/dev/null || die "'$helm' is missing: install Helm 3, or set HELM (hack/images/build.sh --helm prints one)"
"$kubectl" get --raw /readyz >/dev/null || die "no cluster answers: set KUBECONFIG"
$act
