#!/usr/bin/env bash
# Packages chart/ as FILE (helloservice.tgz), byte for byte the same each time, unlike `helm package`, which writes today's
# date into it: so the ConfigMap that holds it changes exactly when the chart does.
set -euo pipefail
[ $# = 1 ] || {
	echo "usage: package-chart.sh FILE" >&2
	exit 2
}
out=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")"
tar -c --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
	--transform='s,^chart,helloservice,' chart | gzip -n9 >"$out"
