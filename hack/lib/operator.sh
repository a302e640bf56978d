# Brings a cluster up, and the operator into it. Needs common.sh.
# shellcheck shell=bash
: "${repo:?common.sh comes first}"

# A cluster of our own, unless KUBECONFIG names one. Sets: kubectl (an array), KUBECONFIG, own_cluster.
# use_cluster NAME
use_cluster() {
	cluster_name=$1
	if [ -n "${KUBECONFIG:-}" ]; then
		own_cluster=
		need kubectl "install it, to use the cluster that KUBECONFIG names"
		kubectl=(kubectl)
		return
	fi
	own_cluster=yes
	can_run_containers || die "a cluster of its own needs root on Debian or Ubuntu; or set KUBECONFIG to use yours"
	tool=$(cluster_tool)
	"$repo/hack/cluster/install-deps.sh" >&2
	"$tool" up --name "$cluster_name" >&2
	KUBECONFIG=$("$tool" kubeconfig --name "$cluster_name")
	export KUBECONFIG
	kubectl=("$tool" --name "$cluster_name" kubectl)
}

# load_images TAR...: into our own cluster; for another one COXSWAIN_LOAD_IMAGE is the command that takes a tar.
load_images() {
	if [ -n "$own_cluster" ]; then
		"$tool" load-image --name "$cluster_name" "$@" >&2
		return
	fi
	[ -n "${COXSWAIN_LOAD_IMAGE:-}" ] ||
		die "your cluster needs the demo's images: set COXSWAIN_LOAD_IMAGE to the command that loads a tar, such as 'kind load image-archive' or 'k3d image import'"
	local tar
	for tar in "$@"; do
		$COXSWAIN_LOAD_IMAGE "$tar" >&2
	done
}

# install_operator: CRDs, RBAC and the Deployment, as config/default has them; waits until it is ready.
install_operator() {
	"${kubectl[@]}" apply --server-side -k "$repo/config/default" >&2
	"${kubectl[@]}" wait --for=condition=Established --timeout=60s -f "$repo/crds" >&2
	"${kubectl[@]}" -n coxswain-system rollout restart deployment/coxswain >&2
	"${kubectl[@]}" -n coxswain-system rollout status deployment/coxswain --timeout=120s >&2
}
