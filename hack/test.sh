#!/usr/bin/env bash
# The tests, from the quickest to the slowest.
#
#   test.sh [all|lint|rust|chart|sdk|go|prometheus|control-plane|cluster|readme]
#
# `all` installs what it needs (root, Debian or Ubuntu). Where a part can't run, it says so at the end; with CI=true that
# is an error.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=lib/operator.sh
. "$repo/hack/lib/operator.sh"
cd "$repo"

# The Go modules of this repository.
go_modules=(hack/cluster hack/gitops examples/tutorial/helloservice)

left_out=()

# leave_out WHAT WHY
leave_out() {
	[ "${CI:-}" != true ] || die "$1 can't run here, and nothing may be left out in CI: $2"
	left_out+=("$1: $2")
}

# What checks the forge's workflows; prints its path.
actionlint() {
	local version=v1.7.12 bin=$cache/bin
	if [ ! -x "$bin/actionlint-$version" ]; then
		local built
		built=$(mktemp -d)
		GOBIN=$built CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" quietly go install "github.com/rhysd/actionlint/cmd/actionlint@$version"
		mkdir -p "$bin"
		mv "$built/actionlint" "$bin/actionlint-$version"
		rmdir "$built"
	fi
	printf '%s\n' "$bin/actionlint-$version"
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
	"$(actionlint)" .github/workflows/*.yml
	local dir unformatted
	for dir in "${go_modules[@]}"; do
		unformatted=$(gofmt -l "$dir")
		[ -z "$unformatted" ] || die "gofmt -w $unformatted"
		(cd "$dir" && CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" go vet ./...)
	done
}

rust_tests() {
	rust
	# What the operator asks of the API server in all tests is what its role allows: docs/security.md.
	local rights
	rights=$(mktemp)
	# shellcheck disable=SC2064
	trap "rm -f '$rights'" EXIT
	COXSWAIN_TEST_RIGHTS=$rights cargo test --quiet --locked --features testing
	COXSWAIN_TEST_RIGHTS=$rights cargo test --quiet --locked --features testing --test it rights::every_shipped_right -- --ignored
	rm -f "$rights"
	trap - EXIT
}

# The helm programs that the chart is tried with, separated by colons: Helm 3 and 4.
helms() { printf '%s:%s' "$(hack/images/build.sh --helm)" "$(hack/images/build.sh --helm4)"; }

# The chart, rendered with every pair of its switches.
chart() {
	rust
	COXSWAIN_TEST_HELM=$(helms)
	export COXSWAIN_TEST_HELM
	cargo test --quiet --locked --features testing --test it chart:: -- --ignored --skip control_plane --test-threads 2
}

# A client that others wrote: the CloudEvents SDK for Python, in an environment of its own.
sdk() {
	rust
	local venv
	venv=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "rm -rf '$venv'" EXIT
	python3 -m venv "$venv"
	quietly "$venv/bin/pip" install --quiet --disable-pip-version-check 'cloudevents==1.12.0' 'requests>=2,<3'
	COXSWAIN_TEST_SDK=$venv/bin/python \
		cargo test --quiet --locked --features testing --test it server::docs -- --ignored
	rm -rf "$venv"
	trap - EXIT
}

go_tests() {
	local dir
	for dir in "${go_modules[@]}"; do
		(cd "$dir" && CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" go test ./...)
	done
}

# Against a real Prometheus, a process of this machine on a loopback port.
prometheus() {
	rust
	COXSWAIN_TEST_PROMETHEUS=$(hack/images/build.sh --prometheus)
	export COXSWAIN_TEST_PROMETHEUS
	"$COXSWAIN_TEST_PROMETHEUS.promtool" test rules tests/alerts.yaml
	cargo test --quiet --locked --features testing --test it prometheus:: -- --ignored --test-threads 4
}

# A control plane of its own, for tests that play the kubelet themselves.
control_plane() {
	rust
	local tool name=test-$$
	COXSWAIN_TEST_HELM=$(helms)
	export COXSWAIN_TEST_HELM
	tool=$(cluster_tool)
	# shellcheck disable=SC2064
	trap "'$tool' down --name '$name' >&2 || true" EXIT
	"$tool" up --control-plane-only --name "$name" >&2
	"$tool" --name "$name" kubectl apply --server-side -f crds >&2
	"$tool" --name "$name" kubectl wait --for=condition=Established --timeout=60s -f crds >&2
	KUBECONFIG=$("$tool" --name "$name" kubeconfig) \
		cargo test --quiet --locked --features testing --test it control_plane:: -- --ignored --test-threads 1
	"$tool" down --name "$name" >&2
	trap - EXIT
}

# The whole thing, with containers: what make demo leaves is the cluster for the tests.
cluster() {
	rust
	unset KUBECONFIG
	export COXSWAIN_DEMO_CLUSTER=e2e-$$
	trap 'hack/demo.sh down' EXIT
	timed "make demo" make demo VARIANT=remediation
	local tool
	tool=$(cluster_tool)
	quietly "$tool" load-image --name "$COXSWAIN_DEMO_CLUSTER" "$(hack/images/build.sh --only alertmanager)"
	COXSWAIN_TEST_KUBECONFIG=$("$tool" --name "$COXSWAIN_DEMO_CLUSTER" kubeconfig) \
		COXSWAIN_TEST_KUBECTL="$tool --name $COXSWAIN_DEMO_CLUSTER kubectl" HELM=$(hack/images/build.sh --helm) \
		cargo test --quiet --locked --features testing --test it cluster:: -- --ignored --skip readme --skip cluster::helm --nocapture --test-threads 4
	make demo-down
	trap - EXIT
}

# chart_before DIR: the chart as it was before the commit that changed it last; in a clone without a history, as it is.
chart_before() {
	local commit
	commit=$(git log --skip=1 -n 1 --format=%H -- charts/coxswain)
	git archive "${commit:-HEAD}" charts/coxswain | tar -x -C "$1"
}

# The chart's life, and what the README tells people to type, on a cluster where nothing is installed.
readme() {
	rust
	unset KUBECONFIG
	local tool bin images built name=readme-$$
	mapfile -t built < <(hack/operator-image.sh --both)
	mapfile -t images < <(hack/images/build.sh)
	tool=$(cluster_tool)
	bin=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "'$tool' down --name '$name' >&2 || true; rm -rf '$bin'" EXIT
	quietly "$tool" up --name "$name"
	quietly "$tool" load-image --name "$name" "${built[1]}" "${images[@]}"
	ln -s "${built[0]}" "$bin/coxswain"
	ln -s "$(hack/images/build.sh --helm)" "$bin/helm"
	printf '#!/bin/sh\nexec %q --name %q kubectl "$@"\n' "$tool" "$name" >"$bin/kubectl"
	chmod +x "$bin/kubectl"
	mkdir "$bin/before"
	chart_before "$bin/before"
	COXSWAIN_TEST_KUBECONFIG=$("$tool" --name "$name" kubeconfig) COXSWAIN_TEST_HELM=$(helms) \
		COXSWAIN_TEST_OLD_CHART=$bin/before/charts/coxswain \
		cargo test --quiet --locked --features testing --test it cluster::helm -- --ignored --nocapture
	COXSWAIN_TEST_KUBECONFIG=$("$tool" --name "$name" kubeconfig) COXSWAIN_TEST_BIN=$bin \
		cargo test --quiet --locked --features testing --test it cluster::readme -- --ignored --nocapture
	"$tool" down --name "$name" >&2
	rm -rf "$bin"
	trap - EXIT
}

all() {
	if can_run_containers; then
		timed "what the tests need" hack/install-deps.sh
	fi
	timed "lint" lint
	timed "unit tests and scenarios" rust_tests
	if python3 -m venv --help >/dev/null 2>&1; then
		timed "CloudEvents SDK" sdk
	else
		leave_out "the CloudEvents SDK" "it needs python3 with venv"
	fi
	timed "Go tests" go_tests
	timed "Helm chart" chart
	if can_run_containers; then
		timed "Prometheus" prometheus
	else
		leave_out "the tests with a real Prometheus" "they need root on Debian or Ubuntu"
	fi
	timed "control plane" control_plane
	if can_run_containers; then
		timed "the cluster program" hack/cluster/selftest.sh
		timed "cluster" cluster
		timed "README" readme
	else
		leave_out "the full cluster, the demo and the README" "they need root on Debian or Ubuntu"
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
chart) timed "Helm chart" chart ;;
sdk) timed "CloudEvents SDK" sdk ;;
go) timed "Go tests" go_tests ;;
prometheus) timed "Prometheus" prometheus ;;
control-plane) timed "control plane" control_plane ;;
cluster) timed "cluster" cluster ;;
readme) timed "README" readme ;;
*) die "there is no part '$1'; there are: all, lint, rust, chart, sdk, go, prometheus, control-plane, cluster, readme" ;;
esac
