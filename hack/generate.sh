#!/bin/sh
# Writes every generated file anew: crds/, and its copies and the roles in config/ and charts/. A test compares them.
set -eu
cd "$(dirname -- "$0")/.."
cargo build --quiet
coxswain=${CARGO_TARGET_DIR:-target}/debug/coxswain
"$coxswain" crds --dir crds
"$coxswain" crds --dir config/crd/bases
"$coxswain" crds --chart charts/coxswain
"$coxswain" rbac --dir config/rbac
"$coxswain" rbac --chart charts/coxswain
