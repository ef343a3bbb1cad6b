# `make help` lists what is here. Everything is a plain cargo command underneath.
.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt bench crds explore frontier chart image kind-up kind-e2e kind-down ci quick

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole system on this machine: three replicas, a killed leader, a fenced zombie
	cargo run --release --bin rynxs -- demo

test: ## all tests
	cargo test --workspace

lint: ## formatting and clippy as CI has them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## format the code
	cargo fmt --all

bench: ## benchmarks, each beside its peer or limit
	cargo bench -p rynxs-core -p rynxs-operator -p rynxs-sim

crds: ## write the generated CRDs again
	UPDATE_GOLDEN=1 cargo test -p rynxs-core --test it crds

explore: ## random scenarios under fresh seeds for twenty minutes
	cargo run --release --bin rynxs-sim -- explore --time 20m

frontier: ## where one leader stops being one, as a table and a picture
	cargo run --release --bin rynxs-sim -- frontier

chart: ## the chart's examples, refusals and alerts; a real API server too, if KUBECONFIG names one
	helm/tests/run

image: ## the operator's image, as a tar that needs no registry
	image/make

kind-up: image ## a kind cluster of three nodes with our images in it
	kind/image
	kind/up

kind-e2e: image ## install, break, upgrade and uninstall on that cluster; prints what each fault cost
	kind/image
	kind/e2e

kind-down: ## remove the cluster
	kind/down

quick: ## formatting, clippy and tests
	.ci/run --quick

ci: ## the whole gate
	.ci/run
