#!/usr/bin/env bash
# Two promises of these files, checked without a cluster: the v1 bodies stand in them unedited, text for text; and what the
# three projects share is the same but for the project's name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bad=0
same() { # same WHAT A B
	diff -u --label "$1: expected" --label "$1: is" <(printf '%s\n' "$2") <(printf '%s\n' "$3") || bad=1
}
from() { sed -n "/^ *$2:\$/,\$p" "$1"; }                     # from FILE KEY: from this line to the end
indented() { sed 's/^\(.\)/  \1/'; }                         # as the body stands below `spec:`
part() { awk -v from="$2" '$0 ~ from { on = 1 } on' <<<"$1"; } # part TEXT REGEX: from the first line like this on

same shipyard.yaml "$(from v1/shipyard.yaml spec)" "$(from shipyard.yaml spec)"
same remediation.yaml "$(from v1/remediation.yaml remediations)" "$(from remediation.yaml remediations)"
same jobconfig.yaml "$(from v1/job/config.yaml actions | indented)" "$(from jobconfig.yaml actions)"
# JSON there, YAML here: without JSON's own signs the lines are the same.
same problem.yaml "$(sed -n '/"data": {/,$p' v1/remediation_trigger.json | sed 1d | tr -d '",{}' | sed 's/^  //; s/ *$//' | grep .)" \
	"$(from problem.yaml spec | sed 1d)"

test_and_scale=$(part "$(from jobconfig.yaml actions)" 'Run tests using locust')
for project in escalation control; do
	same $project/jobconfig.yaml "$test_and_scale" "$(part "$(from $project/jobconfig.yaml actions)" 'Run tests using locust')"
	for file in slo.yaml sli.yaml metricsprovider.yaml namespaces.yaml access.yaml; do
		same $project/$file "$(sed "s/fulltour/$project/g" $file)" "$(cat $project/$file)"
	done
done
[ $bad = 0 ] || exit 1
echo "the tutorial's files are in order"
