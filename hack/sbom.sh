#!/usr/bin/env bash
# Prints the operator's bill of materials (CycloneDX 1.5, JSON): every crate that is linked into it, from Cargo.lock.
#
#   sbom.sh [TARGET]   default: x86_64-unknown-linux-musl
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
rust
cd "$repo"
cargo tree --locked --target "${1:-x86_64-unknown-linux-musl}" --edges normal --prefix none --no-dedupe --format '{p}|{l}' |
	LC_ALL=C sort -u | awk -F'|' '
	{
		split($1, part, " ")
		name = part[1]; version = substr(part[2], 2); licence = $2
		gsub(/["\\]/, "", licence); gsub(/\//, " OR ", licence); gsub(/  +/, " ", licence)
		if (name == "coxswain") { own = version; next }
		if (seen[name, version]++) next
		component = sprintf("{\"type\":\"library\",\"name\":\"%s\",\"version\":\"%s\",\"purl\":\"pkg:cargo/%s@%s\"", name, version, name, version)
		if (licence != "") component = component sprintf(",\"licenses\":[{\"expression\":\"%s\"}]", licence)
		components[++count] = component "}"
	}
	END {
		printf "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,\n"
		printf "\"metadata\":{\"component\":{\"type\":\"application\",\"name\":\"coxswain\",\"version\":\"%s\",\"purl\":\"pkg:cargo/coxswain@%s\"}},\n\"components\":[\n", own, own
		for (i = 1; i <= count; i++) printf "%s%s\n", components[i], i < count ? "," : ""
		printf "]}\n"
	}'
