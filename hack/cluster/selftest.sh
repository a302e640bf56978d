#!/bin/bash
# Tests the cluster program by using it: starts clusters, kills parts of them at bad moments, runs containers, and checks
# each time that "down" leaves nothing behind. Takes one to three minutes, and never more than ten.
#
#   selftest.sh                        everything; without root, only what needs none
#   selftest.sh --control-plane-only   only what needs no root
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# The whole test is bounded: this starts it a second time, under a clock.
if [ -z "${COXSWAIN_SELFTEST:-}" ]; then
	cluster=$("$here/build.sh") # not under the clock: a cold build takes minutes
	export COXSWAIN_SELFTEST=$cluster
	exec timeout --signal=TERM --kill-after=60 600 "$here/selftest.sh" "$@"
fi
cluster=$COXSWAIN_SELFTEST
mode=${1:-}

work=$(mktemp -d "${TMPDIR:-/tmp}/cluster-selftest.XXXXXX")
export COXSWAIN_CLUSTER_DIR=$work/state
unset KUBECONFIG COXSWAIN_CLUSTER_NAME
began=$SECONDS

finish() {
	local code=$?
	trap - EXIT INT TERM
	if [ "$code" != 0 ]; then
		echo "selftest.sh: FAILED after $((SECONDS - began)) s; the ends of the logs:" >&2
		tail -n 5 "$COXSWAIN_CLUSTER_DIR"/*/logs/*.log >&2 2>/dev/null || true
	fi
	"$cluster" down --all >/dev/null 2>&1 || true
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 1' INT TERM

step() { printf '=== [%3d s] %s\n' $((SECONDS - began)) "$*"; }
fail() {
	printf 'selftest.sh: %s\n' "$*" >&2
	exit 1
}
# A field of a cluster's state.
field() { sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\).*/\1/p" "$COXSWAIN_CLUSTER_DIR/$1/state.json" | head -n 1; }
# The pid that a component has on this machine.
pid_of() { ("$cluster" --name "$1" status 2>/dev/null || true) | awk -v c="$2" '$1 == c { print $2 }'; }

# Stops a cluster, and fails if anything of it is left.
down() {
	local name=$1 instance link cgroup left
	instance=$(field "$name" instance)
	link=$(field "$name" link)
	cgroup=$(field "$name" cgroup)
	[ -n "$instance" ] || fail "the state of $name names no instance"
	timeout 60 "$cluster" --name "$name" down
	left=$(grep -lsz "^COXSWAIN_CLUSTER_INSTANCE=$instance\$" /proc/[0-9]*/environ || true)
	[ -z "$left" ] || fail "processes are left of $name: $left"
	left=$(grep -ls "$COXSWAIN_CLUSTER_DIR/$name\|$instance" /proc/[0-9]*/mountinfo || true)
	[ -z "$left" ] || fail "mounts are left of $name: $left"
	[ ! -e "$COXSWAIN_CLUSTER_DIR/$name" ] || fail "the directory of $name is left"
	[ ! -e "$COXSWAIN_CLUSTER_DIR/.$name.lock" ] || fail "the lock of $name is left"
	if [ -n "$link" ]; then
		[ ! -e "/sys/class/net/$link" ] || fail "the link $link of $name is left"
		! grep -qs "^$link" /proc/net/route || fail "routes are left of $name"
		! nft list tables 2>/dev/null | grep -q "$link" || fail "an nftables table is left of $name"
	fi
	if [ -n "$cgroup" ]; then
		left=$(find /sys/fs/cgroup -maxdepth 2 -name "$cgroup" 2>/dev/null)
		[ -z "$left" ] || fail "cgroups are left of $name: $left"
	fi
}

up() { # NAME FLAGS...
	local name=$1
	shift
	timeout 240 "$cluster" --name "$name" up "$@"
}

unhealthy() {
	! "$cluster" --name "$1" status >/dev/null 2>&1 || fail "$1 counts as healthy although $2"
}

# Kills "up" itself at a bad moment.
killed_up() { # NAME SECONDS FLAGS...
	local name=$1 delay=$2 pid
	shift 2
	"$cluster" --name "$name" up "$@" 2>/dev/null &
	pid=$!
	while [ ! -s "$COXSWAIN_CLUSTER_DIR/$name/state.json" ]; do sleep 0.01; done
	sleep "$delay"
	kill -KILL "$pid" 2>/dev/null || fail "\"up\" was ready before it could be killed"
	wait "$pid" 2>/dev/null || true
	unhealthy "$name" "its \"up\" was killed"
}

control_plane_tests() {
	local flags=--control-plane-only
	step "control plane: up, use, down"
	"$cluster" --name one down # nothing there: fine
	up one $flags
	up one $flags # already running: fine
	"$cluster" --name one status
	"$cluster" --name one kubectl get namespaces
	KUBECONFIG=$("$cluster" --name one kubeconfig) "$cluster" --name one kubectl auth whoami
	"$cluster" --name one kubeconfig --raw | grep -q client-certificate-data || fail "kubeconfig --raw shows no certificate"

	step "control plane: RBAC, service accounts, Jobs, garbage collection, admission policies"
	local k="$cluster --name one kubectl"
	[ "$($k auth can-i list secrets --as=system:serviceaccount:default:default)" = no ] || fail "RBAC is off"
	$k create token default >/dev/null
	$k create job test --image=none
	local pod=
	for _ in $(seq 100); do
		pod=$($k get pods -l job-name=test -o name)
		[ -z "$pod" ] || break
		sleep 0.1
	done
	# Playing the kubelet.
	$k patch "$pod" --subresource=status -p '{"status":{"phase":"Succeeded"}}'
	$k wait --for=condition=complete --timeout=30s job/test
	$k delete job test --cascade=background
	$k wait --for=delete --timeout=30s "$pod"
	$k apply -f - <<-'POLICY'
		apiVersion: admissionregistration.k8s.io/v1
		kind: ValidatingAdmissionPolicy
		metadata: {name: test}
		spec:
		  matchConstraints:
		    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
		  validations: [{expression: "object.metadata.name != 'bad'", message: "bad is refused"}]
		---
		apiVersion: admissionregistration.k8s.io/v1
		kind: ValidatingAdmissionPolicyBinding
		metadata: {name: test}
		spec: {policyName: test, validationActions: [Deny]}
	POLICY
	local refused=no
	for _ in $(seq 100); do
		if ! $k create configmap bad --dry-run=server >/dev/null 2>&1; then refused=yes && break; fi
		sleep 0.1
	done
	[ "$refused" = yes ] || fail "the admission policy is not enforced"

	step "control plane: a second one beside it"
	up two $flags
	"$cluster" list
	down two
	"$cluster" --name one status >/dev/null || fail "the first suffered from the second's end"

	step "control plane: a component is killed"
	kill -KILL "$(pid_of one kube-scheduler)"
	sleep 0.3
	unhealthy one "its scheduler was killed"
	local said
	said=$("$cluster" --name one status 2>/dev/null || true)
	[[ $said == *kube-scheduler*SIGKILL* ]] || fail "status does not say what happened: $said"
	step "control plane: \"up\" repairs it"
	up one $flags
	"$cluster" --name one status >/dev/null

	step "control plane: its supervisor is killed"
	kill -KILL "$(field one pid)"
	sleep 0.3
	unhealthy one "its supervisor was killed"
	down one

	for delay in 0 0.2 1.5; do
		step "control plane: \"up\" is killed after $delay s"
		killed_up three "$delay" $flags
		down three
	done
	step "control plane: \"up\" after a killed \"up\""
	killed_up three 1 $flags
	up three $flags
	down three
}

build_test_image() {
	mkdir -p "$work/rootfs"
	(cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$work/rootfs/selftest" ./selftest)
	"$cluster" build-image --tag selftest:1 --rootfs "$work/rootfs" --entrypoint '["/selftest"]' --cmd '["true"]' --output "$work/image.tar"
}

# Names and services between pods, from the host to pods, and from pods to the host.
node_tests() {
	local name=$1 k="$cluster --name $1 kubectl" start address
	"$cluster" --name "$name" load-image "$work/image.tar"
	$k create job first --image=selftest:1
	$k wait --for=condition=complete --timeout=60s job/first
	$k create job second --image=selftest:1
	start=$(date +%s%N)
	$k wait --for=condition=complete --timeout=60s job/second
	echo "a warm Job completed after $((($(date +%s%N) - start) / 1000000)) ms"
	$k run web --image=selftest:1 --port=8080 -- serve :8080 "hello from $name"
	$k expose pod web --port=80 --target-port=8080
	$k wait --for=condition=Ready --timeout=30s pod/web
	$k run client --image=selftest:1 --restart=Never -- get http://web.default.svc.cluster.local
	"$work/rootfs/selftest" serve "$(field "$name" host):18099" "hello from the host" &
	local server=$!
	$k run outside --image=selftest:1 --restart=Never -- get http://host.coxswain.internal:18099
	for pod in client outside; do
		$k wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=60s "pod/$pod"
	done
	kill "$server"
	wait "$server" 2>/dev/null || true
	[ "$($k logs client)" = "hello from $name" ] || fail "the client did not reach the service"
	[ "$($k logs outside)" = "hello from the host" ] || fail "the pod did not reach the host"
	$k exec web -- /selftest true
	address=$($k get service web -o jsonpath='{.spec.clusterIP}')
	[ "$("$work/rootfs/selftest" get "http://$address")" = "hello from $name" ] || fail "the host did not reach the service"
	# A pod talks to the API server with its service account, and may do what RBAC lets it.
	[ "$($k get endpointslices kubernetes -o jsonpath='{.endpoints[0].addresses[0]}')" = "$(field "$name" node)" ] ||
		fail "the service \"kubernetes\" does not lead to the API server"
}

full_tests() {
	build_test_image
	step "node: up, run containers, names, services"
	up full
	up full # already running: fine
	"$cluster" --name full status
	node_tests full
	step "node: a second one, and a control plane, beside it"
	up other &
	local other=$!
	up plane --control-plane-only
	wait "$other"
	node_tests other
	"$cluster" list
	down full
	"$cluster" --name other status >/dev/null || fail "the second suffered from the first's end"
	"$cluster" --name other kubectl run after --image=selftest:1 --restart=Never -- get http://web
	"$cluster" --name other kubectl wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=60s pod/after
	down plane

	step "node: components are killed"
	kill -KILL "$(pid_of other containerd)" "$(pid_of other kubelet)"
	sleep 0.3
	unhealthy other "containerd was killed"
	down other

	for delay in 0 0.5 3; do
		step "node: \"up\" is killed after $delay s"
		killed_up full "$delay"
		down full
	done
	step "node: its supervisor is killed, \"up\" repairs it; --nat"
	up full --nat
	kill -KILL "$(field full pid)"
	sleep 0.3
	unhealthy full "its supervisor was killed"
	up full
	down full
}

control_plane_tests
if [ "$mode" = --control-plane-only ]; then
	:
elif [ "$(id -u)" = 0 ]; then
	full_tests
else
	step "SKIPPED, because this is not root: everything with a node"
fi
left=$(ls -A "$COXSWAIN_CLUSTER_DIR")
[ -z "$left" ] || fail "left in the state directory: $left"
step "passed"
