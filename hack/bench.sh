#!/usr/bin/env bash
# Measures what docs/performance.md says, on clusters of its own. Each figure is a line of a Markdown table on stdout.
#
#   bench.sh [all|step|gate|jobs|simulate|sequence|inbound|memory]
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=lib/operator.sh
. "$repo/hack/lib/operator.sh"
cd "$repo"
unset KUBECONFIG

what=${1:-all}
case $what in
all | step | gate | jobs | simulate | sequence | inbound | memory) ;;
*) die "there is nothing '$what' to measure; there are: all, step, gate, jobs, simulate, sequence, inbound, memory" ;;
esac

# The pure engine alone; this needs no cluster.
measure_step() {
	cargo bench --quiet --locked --bench step |
		sed -n 's/.*time: *\[[^ ]* [^ ]* \([^ ]* [^ ]*\) .*/| one transition of the engine: 20 tasks, 16 KiB of payload | \1 |/p'
}

# One verdict; this needs no cluster either.
measure_gate() {
	cargo bench --quiet --locked --bench gate -- '100 objectives, 10 earlier results' |
		sed -n 's/.*time: *\[[^ ]* [^ ]* \([^ ]* [^ ]*\) .*/| one verdict: 100 objectives, 10 earlier results | \1 |/p'
}

# Nor do the Jobs of one event.
measure_jobs() {
	cargo bench --quiet --locked --bench jobs |
		sed -n 's/.*time: *\[[^ ]* [^ ]* \([^ ]* [^ ]*\) .*/| the Jobs of one event: 3, of one of 50 actions | \1 |/p'
}

# Nor does a story that is only played.
measure_simulate() {
	cargo bench --quiet --locked --bench simulate |
		sed -n 's/.*time: *\[[^ ]* [^ ]* \([^ ]* [^ ]*\) .*/| the tutorial, of two attempts, simulated | \1 |/p'
}

case $what in
step | gate | jobs | simulate)
	rust
	printf '| what | measured |\n| --- | --- |\n'
	"measure_$what"
	exit
	;;
esac
can_run_containers || die "the measurements need root on Debian or Ubuntu"
"$repo/hack/install-deps.sh"
rust
mapfile -t built < <(hack/operator-image.sh --both)
[ ${#built[@]} = 2 ] || die "building the operator failed"
tool=$(cluster_tool)
name=bench-$$
trap '"$tool" down --name "$name" >&2 || true' EXIT

# prepare KUBECTL...: the CRDs and the operator's rights, but no operator: the measurements run one beside the cluster.
prepare() {
	quietly "$@" apply --server-side -k config/crd
	quietly "$@" wait --for=condition=Established --timeout=60s -f crds
	quietly "$@" create namespace coxswain-system
	quietly "$@" apply --server-side -k config/rbac
}

# measure TEST
measure() {
	COXSWAIN_BENCH_BINARY=${built[0]} COXSWAIN_TEST_KUBECONFIG=$("$tool" --name "$name" kubeconfig) \
		COXSWAIN_TEST_KUBECTL="$tool --name $name kubectl" \
		cargo test --quiet --locked --features testing --test it "$1" -- --ignored --exact --nocapture |
		grep --line-buffered -E '^\||panicked|FAILED|error'
}

printf '| what | measured |\n| --- | --- |\n'
printf '| the operator, a static binary | %s MB |\n' "$(stat -c %s "${built[0]}" | awk '{ printf "%.1f", $1 / 1e6 }')"
if [ "$what" = all ]; then
	measure_step
	measure_gate
	measure_jobs
	measure_simulate
fi
if [ "$what" = all ] || [ "$what" = sequence ]; then
	mapfile -t images < <(hack/images/build.sh --only busybox)
	quietly "$tool" up --name "$name"
	quietly "$tool" load-image --name "$name" "${images[@]}"
	prepare "$tool" --name "$name" kubectl
	measure bench::sequence::four_jobs
	quietly "$tool" down --name "$name"
fi
if [ "$what" != sequence ]; then
	quietly "$tool" up --control-plane-only --name "$name"
	prepare "$tool" --name "$name" kubectl
	[ "$what" = memory ] || measure bench::inbound::events_and_alerts
	[ "$what" = inbound ] || measure bench::memory::memory_and_quiet
fi
