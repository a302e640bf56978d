#!/usr/bin/env bash
# The tests, from the quickest to the slowest.
#
#   test.sh [all|lint|rust|go|control-plane|cluster]
#
# `all` installs what it needs (root, Debian or Ubuntu). Where a part can't run, it says so at the end; with CI=true that
# is an error.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=lib/operator.sh
. "$repo/hack/lib/operator.sh"
cd "$repo"

left_out=()

# leave_out WHAT WHY
leave_out() {
	[ "${CI:-}" != true ] || die "$1 can't run here, and nothing may be left out in CI: $2"
	left_out+=("$1: $2")
}

lint() {
	rust
	cargo fmt --check
	cargo clippy --quiet --locked --all-targets --features testing -- -D warnings
	if command -v shellcheck >/dev/null; then
		git ls-files '*.sh' .ci/run | xargs shellcheck -x --source-path=SCRIPTDIR
	else
		leave_out "shellcheck" "install it with apt-get install shellcheck"
	fi
	local dir unformatted
	for dir in hack/cluster examples/tutorial/helloservice; do
		unformatted=$(gofmt -l "$dir")
		[ -z "$unformatted" ] || die "gofmt -w $unformatted"
		(cd "$dir" && CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" go vet ./...)
	done
}

rust_tests() {
	rust
	cargo test --quiet --locked --features testing
}

go_tests() {
	local dir
	for dir in hack/cluster examples/tutorial/helloservice; do
		(cd "$dir" && CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" go test ./...)
	done
}

# A control plane of its own, for tests that play the kubelet themselves.
control_plane() {
	rust
	local tool name=test-$$
	tool=$(cluster_tool)
	# shellcheck disable=SC2064
	trap "'$tool' down --name '$name' >&2 || true" EXIT
	"$tool" up --control-plane-only --name "$name" >&2
	"$tool" --name "$name" kubectl apply --server-side -f crds >&2
	"$tool" --name "$name" kubectl wait --for=condition=Established --timeout=60s -f crds >&2
	KUBECONFIG=$("$tool" --name "$name" kubeconfig) \
		cargo test --quiet --locked --features testing --test it control_plane:: -- --ignored --test-threads 4
	"$tool" down --name "$name" >&2
	trap - EXIT
}

# The whole thing, with containers.
cluster() {
	rust
	local operator
	operator=$(hack/operator-image.sh)
	mapfile -t images < <(hack/images/build.sh)
	HELM=$(hack/images/build.sh --helm)
	export HELM
	unset KUBECONFIG
	local name=e2e-$$
	# shellcheck disable=SC2064
	trap "'$(cluster_tool)' down --name '$name' >&2 || true" EXIT
	timed "cluster" use_cluster "$name"
	timed "images" load_images "$operator" "${images[@]}"
	timed "operator" install_operator
	COXSWAIN_TEST_KUBECONFIG=$KUBECONFIG COXSWAIN_TEST_KUBECTL="${kubectl[*]}" \
		cargo test --quiet --locked --features testing --test it cluster:: -- --ignored --nocapture --test-threads 4
	"$tool" down --name "$name" >&2
	trap - EXIT
}

all() {
	if can_run_containers; then
		timed "what the tests need" hack/install-deps.sh
	fi
	timed "lint" lint
	timed "unit tests and scenarios" rust_tests
	timed "Go tests" go_tests
	timed "control plane" control_plane
	if can_run_containers; then
		timed "cluster" cluster
	else
		leave_out "the full cluster" "it needs root on Debian or Ubuntu"
	fi
	if [ ${#left_out[@]} -gt 0 ]; then
		printf 'left out: %s\n' "${left_out[@]}" >&2
	fi
	say "all passed"
}

case ${1:-all} in
all) all ;;
lint) timed lint lint ;;
rust) timed "unit tests and scenarios" rust_tests ;;
go) timed "Go tests" go_tests ;;
control-plane) timed "control plane" control_plane ;;
cluster) timed "cluster" cluster ;;
*) die "there is no part '$1'; there are: all, lint, rust, go, control-plane, cluster" ;;
esac
