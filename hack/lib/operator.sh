# Brings a cluster up, and the operator into it. Needs common.sh.
# shellcheck shell=bash
: "${repo:?common.sh comes first}" "${cache:?}"

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
	quietly "$tool" up --name "$cluster_name"
	KUBECONFIG=$("$tool" kubeconfig --name "$cluster_name")
	export KUBECONFIG
	kubectl=("$tool" --name "$cluster_name" kubectl)
}

# load_images TAR...: into our own cluster; for another one COXSWAIN_LOAD_IMAGE is the command that takes a tar.
load_images() {
	if [ -n "$own_cluster" ]; then
		quietly "$tool" load-image --name "$cluster_name" "$@"
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
	local before
	before=$("${kubectl[@]}" -n coxswain-system get deployment coxswain --ignore-not-found -o name 2>/dev/null || true)
	quietly "${kubectl[@]}" apply --server-side -k "$repo/config/default"
	quietly "${kubectl[@]}" wait --for=condition=Established --timeout=60s -f "$repo/crds"
	# The image's name stays the same while its content changes.
	[ -z "$before" ] || quietly "${kubectl[@]}" -n coxswain-system rollout restart deployment/coxswain
	quietly "${kubectl[@]}" -n coxswain-system rollout status deployment/coxswain --timeout=120s
}

# run_beside BINARY: the operator as a process of this machine, in place of the Deployment; its rights are the kubeconfig's.
run_beside() {
	quietly "${kubectl[@]}" apply --server-side -f "$repo/crds"
	quietly "${kubectl[@]}" wait --for=condition=Established --timeout=60s -f "$repo/crds"
	stop_beside
	COXSWAIN_HEALTH_ADDRESS=127.0.0.1:0 setsid "$1" run >"$cache/beside-operator.log" 2>&1 &
	printf '%s\n' $! >"$cache/beside-operator.pid"
	say "the operator runs beside the cluster: process $!, log $cache/beside-operator.log"
}

# measure_beside NAMESPACE: an operator beside the cluster knows no Service's name, so Prometheus is forwarded to it.
measure_beside() {
	local log=$cache/beside-forward.log port='' deadline=$((SECONDS + 20))
	stop_process forward
	setsid "${kubectl[@]}" -n monitoring port-forward service/prometheus :9090 >"$log" 2>&1 &
	printf '%s\n' $! >"$cache/beside-forward.pid"
	until port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$log" 2>/dev/null) && [ -n "$port" ]; do
		[ $SECONDS -lt $deadline ] || die "kubectl port-forward to Prometheus does not start: $(cat "$log")"
		sleep 0.2
	done
	quietly "${kubectl[@]}" -n "$1" patch metricsprovider prometheus --type merge \
		-p "{\"spec\":{\"prometheus\":{\"url\":\"http://127.0.0.1:$port\",\"allowLoopback\":true}}}"
}

# stop_beside: ends what run_beside and measure_beside started, if it is there.
stop_beside() {
	stop_process operator
	stop_process forward
}

# stop_process operator|forward: only if the process of that number is still the one that was started.
stop_process() {
	local pid word=' port-forward '
	[ "$1" = forward ] || word='coxswain run'
	pid=$(cat "$cache/beside-$1.pid" 2>/dev/null) || return 0
	! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -- "$word" || kill "$pid"
	rm -f "$cache/beside-$1.pid"
}
