#!/usr/bin/env bash
# The tutorial, live, and what controllers rely on, on the newest patch of a Kubernetes minor version, with kind and Docker.
#
# KUBERNETES   the minor version, such as 1.35
set -euo pipefail
# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=../lib/release.sh
. "$repo/hack/lib/release.sh"
cd "$repo"
kind_version=v0.33.0
: "${KUBERNETES:?say which: KUBERNETES=1.35}"
[[ $KUBERNETES =~ ^1\.[0-9]+$ ]] || die "KUBERNETES=$KUBERNETES is no minor version, such as 1.35"

# The newest patch, as Kubernetes' own server says.
newest() {
	if [ "${COXSWAIN_DRY_RUN:-}" = 1 ]; then
		printf 'v%s.0\n' "$KUBERNETES"
	else
		curl --fail --silent --show-error --location --retry 3 "https://dl.k8s.io/release/stable-$KUBERNETES.txt"
	fi
}

wanted go "install Go from https://go.dev/dl/"
wanted docker "kind needs it"
patch=$(newest)
node=coxswain-node:$patch name=coxswain-${KUBERNETES/./-}
export KUBECONFIG=${KUBECONFIG:-${RUNNER_TEMP:-/tmp}/$name.kubeconfig} GOBIN=$cache/bin PATH=$cache/bin:$PATH
run go install "sigs.k8s.io/kind@$kind_version"
run kind build node-image --type release "$patch" --image "$node"
run kind create cluster --name "$name" --image "$node" --wait 180s
export COXSWAIN_LOAD_IMAGE="kind load image-archive --name $name"
run make demo VARIANT=remediation
export COXSWAIN_TEST_KUBECONFIG=$KUBECONFIG
run cargo test --quiet --locked --features testing --test it conformance -- --ignored
run kind delete cluster --name "$name"
