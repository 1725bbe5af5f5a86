# Every target is one line of `make help`. What CI runs is .ci/run: `make test` and `make lint`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PLUGINS := $(notdir $(wildcard plugins/*))
# A module may grow to 16 MiB, which holds any pod and node, and has 256 KiB of stack below its data.
PLUGIN_LINK := -Clink-arg=--max-memory=16777216 -Clink-arg=-zstack-size=262144
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

# The host programs, as cargo packages; weir-scheduler is Go and comes with `weir setup`.
PROGRAMS := weir-cli weir-admission
# Modules in Go. local/kwok holds a version only.
GO_MODULES := scheduler local/kube local/etcd

.PHONY: help
help: ## Explain every target
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: weir plugins ## Build every program to target/bin/ and the plugins to target/plugins/
	@$(CARGO_TARGET_DIR)/bin/weir setup --into $(CARGO_TARGET_DIR)/bin

.PHONY: weir
weir:
	@echo 'build the programs in Rust (from nothing about 4 minutes)' >&2
	@cargo build $(addprefix -p ,$(PROGRAMS)) --bins
	@mkdir -p $(CARGO_TARGET_DIR)/bin
	@ln -f $(CARGO_TARGET_DIR)/debug/weir $(CARGO_TARGET_DIR)/debug/weir-admission $(CARGO_TARGET_DIR)/bin/

.PHONY: plugins
plugins: ## Build the scheduler plugins to target/plugins/NAME.wasm
	@CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='$(PLUGIN_LINK)' \
		cargo build --quiet --profile plugin --target wasm32-unknown-unknown $(addprefix -p ,$(PLUGINS))
	@mkdir -p $(CARGO_TARGET_DIR)/plugins
	@for p in $(PLUGINS); do \
		cp $(CARGO_TARGET_DIR)/wasm32-unknown-unknown/plugin/$${p//-/_}.wasm $(CARGO_TARGET_DIR)/plugins/$$p.wasm; done

# An empty value and 0 mean no.
KEEP_IT := $(filter-out 0 no false,$(KEEP))

.PHONY: run
run: build ## Run a real cluster's workload and watch it: NODES= PODS= SPEED= KEEP=1
	@$(CARGO_TARGET_DIR)/bin/weir run --plugins $(CARGO_TARGET_DIR)/plugins \
		$(if $(NODES),--nodes $(NODES)) $(if $(PODS),--pods $(PODS)) $(if $(SPEED),--speed $(SPEED)) \
		$(if $(KEEP_IT),--keep)

.PHONY: down
down: weir ## End the clusters that `make run KEEP=1` left up
	@$(CARGO_TARGET_DIR)/bin/weir down

.PHONY: test
test: build ## Run every test: unit, property, doc, golden and end-to-end on a real control plane
	@$(CARGO_TARGET_DIR)/bin/weir setup --tests
	@cargo test --workspace
	@cd scheduler && WEIR_PLUGINS=$(abspath $(CARGO_TARGET_DIR)/plugins) go test -buildvcs=false ./...

.PHONY: lint
lint: ## Check the form: rustfmt, clippy, gofmt, go vet
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings
	@unformatted="$$(gofmt -l $(GO_MODULES))"; \
		if [ -n "$$unformatted" ]; then echo "gofmt these: $$unformatted" >&2; exit 1; fi
	@for module in $(GO_MODULES); do (cd $$module && go vet -buildvcs=false ./...); done

.PHONY: fmt
fmt: ## Format everything
	@cargo fmt --all
	@gofmt -w $(GO_MODULES)

.PHONY: generate
generate: ## Write what is made from code: the custom resources in api/crds
	@cargo run --quiet -p weir-api --example crds -- api/crds

.PHONY: verify
verify: generate ## Fail when something that is made from code was not made again
	@git diff --exit-code -- api/crds

.PHONY: bench-policy
bench-policy: ## Time the thinking: entitlement, admission, reclaim; ends with one line of JSON
	@cargo run --quiet --release -p weir-policy-bench

.PHONY: clean
clean: ## Remove what was built, the cached programs included
	@cargo clean --quiet
	@rm -rf .cache
