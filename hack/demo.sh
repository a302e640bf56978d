#!/usr/bin/env bash
# The demo: a service that is really sick, healed live by a declared sequence.
#
#   demo.sh up [remediation|escalation|control]   default: remediation, then escalation
#   demo.sh down
#
# Without KUBECONFIG it starts a cluster of its own (root, Debian or Ubuntu); with KUBECONFIG it uses yours, and
# COXSWAIN_LOAD_IMAGE says how images get there ('kind load image-archive').
# With COXSWAIN_BESIDE=yes the operator runs as a process beside the cluster instead of in it.
# It fails when a run does not end as the variant says.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=lib/operator.sh
. "$repo/hack/lib/operator.sh"

cluster_name=${COXSWAIN_DEMO_CLUSTER:-demo}

up() {
	local started=$SECONDS variant
	if can_run_containers; then
		"$repo/hack/install-deps.sh"
	fi
	say "building: 13 minutes on 2 cores when nothing is cached (operator 5, Kubernetes 6, images 2), else seconds"
	mapfile -t built < <("$repo/hack/operator-image.sh" --both)
	[ ${#built[@]} = 2 ] || die "building the operator failed"
	binary=${built[0]}
	operator=${built[1]}
	mapfile -t images < <("$repo/hack/images/build.sh")
	HELM=$("$repo/hack/images/build.sh" --helm)
	export HELM
	timed "cluster" use_cluster "$cluster_name"
	timed "images" load_images "$operator" "${images[@]}"
	if [ "${COXSWAIN_BESIDE:-}" = yes ]; then
		timed "operator" run_beside "$binary"
	else
		timed "operator" install_operator
	fi
	say "ready after $((SECONDS - started)) s"
	for variant in "$@"; do
		play "$variant"
	done
	look_further "$@"
}

# play VARIANT: makes the service sick, raises the problem, shows the run.
play() {
	local variant=$1 project files name started ended
	project=$variant files=$repo/examples/tutorial/$variant
	if [ "$variant" = remediation ]; then
		project=fulltour files=$repo/examples/tutorial
	fi
	say "$variant: a service gets sick"
	KUBECTL=$(kubectl_shim) "$repo/examples/tutorial/setup.sh" "$variant"
	quietly "${kubectl[@]}" apply -k "$files"
	[ "${COXSWAIN_BESIDE:-}" != yes ] || measure_beside "$project"
	started=$SECONDS
	name=$("${kubectl[@]}" create -f "$files/problem.yaml" -o name)
	say "$variant: raised ${name#*/}; the run, live:"
	"$binary" watch -n "$project" "pe/${name#*/}" && ended=0 || ended=$?
	say "$variant: $((SECONDS - started)) s from the problem to the end"
	printf '\n$ kubectl get sequenceexecutions -n %s\n' "$project"
	"${kubectl[@]}" get sequenceexecutions -n "$project"
	printf '\n'
	# watch says 0 for a run that succeeded, 3 for one that ended otherwise; the control must not succeed.
	local expected=0
	[ "$variant" != control ] || expected=3
	[ "$ended" = "$expected" ] || die "$variant: the run did not end as it should; what there is: ${kubectl[*]} describe sequenceexecutions -n $project"
}

# setup.sh wants one command: this file is it.
kubectl_shim() {
	local shim=$cache/bin/demo-kubectl
	mkdir -p "$cache/bin"
	{
		printf '#!/usr/bin/env bash\nexec'
		printf ' %q' "${kubectl[@]}"
		printf ' "$@"\n'
	} >"$shim"
	chmod +x "$shim"
	printf '%s\n' "$shim"
}

# look_further VARIANT...
look_further() {
	local project=${!#} logs="kubectl logs -n coxswain-system deployment/coxswain"
	[ "$project" != remediation ] || project=fulltour
	[ "${COXSWAIN_BESIDE:-}" != yes ] || logs="less $cache/beside-operator.log"
	cat <<END
Look further:
  export KUBECONFIG=$KUBECONFIG
$([ -z "$own_cluster" ] || printf "  alias kubectl='%s'\n" "${kubectl[*]}")
  kubectl get problemevents,sequenceexecutions,evaluations -A
  kubectl describe sequenceexecution -n $project
  $logs
  make demo-down
END
}

down() {
	stop_beside
	if [ -n "${KUBECONFIG:-}" ]; then
		use_cluster "$cluster_name"
		local variant
		for variant in remediation escalation control; do
			KUBECTL=$(kubectl_shim) "$repo/examples/tutorial/setup.sh" --down "$variant"
		done
		"${kubectl[@]}" delete --ignore-not-found -k "$repo/config/default" >&2
		"${kubectl[@]}" delete --ignore-not-found -f "$repo/crds" >&2
	else
		"$(cluster_tool)" down --name "$cluster_name" >&2
	fi
}

case ${1:-} in
up)
	shift
	[ $# -gt 0 ] || set -- remediation escalation
	up "$@"
	;;
down) down ;;
*) die "usage: demo.sh up [remediation|escalation|control] | down" ;;
esac
