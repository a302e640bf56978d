# Two commands do everything on a fresh Debian or Ubuntu machine:
#   make demo   the tutorial's loop, live
#   make test   everything that CI checks
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: model fuzz bench bench-gate bench-jobs bench-simulate bench-step bench-sequence bench-inbound bench-memory help demo demo-down test test-rust test-chart test-sdk test-go test-prometheus test-control-plane test-cluster test-readme lint generate image install-deps

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

demo: ## A sick service is healed, live; on a cluster of its own, or on yours with KUBECONFIG
	@hack/demo.sh up $(VARIANT)

demo-down: ## Removes what make demo made
	@hack/demo.sh down

test: ## Everything that CI checks; as root on Debian or Ubuntu also on a real cluster
	@hack/test.sh all

lint: ## Format, clippy, go vet, shellcheck
	@hack/test.sh lint

test-rust: ## Unit tests and scenarios in virtual time
	@hack/test.sh rust

test-chart: ## The Helm chart, rendered by Helm 3 and 4
	@hack/test.sh chart

test-sdk: ## A CloudEvents SDK against the operator's server; Python 3
	@hack/test.sh sdk

test-go: ## Tests of the cluster tool and of the demo service
	@hack/test.sh go

test-prometheus: ## Measurements with a real Prometheus; Debian or Ubuntu
	@hack/test.sh prometheus

test-control-plane: ## Tests against a real API server; no root needed
	@hack/test.sh control-plane

test-cluster: ## The tutorial on a real cluster; root, Debian or Ubuntu
	@hack/test.sh cluster

model: ## Searches the engine exhaustively: a quarter of an hour, 12 GB of memory
	@cargo test --locked --profile search --features testing --test it model::everything -- --ignored --nocapture

fuzz: ## A million odd inputs for each reader of what others wrote
	@cargo test --locked --profile search --features testing --lib million -- --ignored

bench: ## Measures what docs/performance.md says; root, Debian or Ubuntu
	@hack/bench.sh all

bench-step: ## One transition of the pure engine
	@hack/bench.sh step

bench-gate: ## One verdict of a quality gate
	@hack/bench.sh gate

bench-jobs: ## The Jobs of one event
	@hack/bench.sh jobs

bench-simulate: ## The tutorial, simulated
	@hack/bench.sh simulate

bench-sequence: ## Four Jobs in one run, in three ways; and the time from one Job to the next
	@hack/bench.sh sequence

bench-inbound: ## Events and alerts over HTTP
	@hack/bench.sh inbound

bench-memory: ## Memory and quiet, with nothing and with thousands of runs
	@hack/bench.sh memory

test-readme: ## What the README tells people to type, on a real cluster; root, Debian or Ubuntu
	@hack/test.sh readme

generate: ## Writes crds/, config/ and the chart's copies anew
	@hack/generate.sh

image: ## The operator's image, as a tar; prints its path
	@hack/operator-image.sh

install-deps: ## Installs what the tests need, with apt; root
	@hack/install-deps.sh
