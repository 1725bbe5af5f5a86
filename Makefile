# Every target is one line of `make help`. What CI runs is .ci/run.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PLUGINS := $(notdir $(wildcard plugins/*))
# A module may grow to 16 MiB, which holds any pod and node, and has 256 KiB of stack below its data.
PLUGIN_FLAGS := -Clink-arg=--max-memory=16777216 -Clink-arg=-zstack-size=262144
# Less inlining than level 2 has by itself: 4 KB less of each module, and no call that is measurably slower.
PLUGIN_FLAGS += -Cllvm-args=--inline-threshold=100
# The same source gives the same bytes, and so the same digest, wherever it is built.
PLUGIN_FLAGS += --remap-path-prefix=$(CURDIR)=weir --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

.PHONY: help
help: ## Explain every target
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: plugins
plugins: ## Build the scheduler plugins to target/plugins/NAME.wasm
	@CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='$(PLUGIN_FLAGS)' \
		cargo build --quiet --profile plugin --target wasm32-unknown-unknown $(addprefix -p ,$(PLUGINS))
	@mkdir -p $(CARGO_TARGET_DIR)/plugins
	@for p in $(PLUGINS); do \
		cp $(CARGO_TARGET_DIR)/wasm32-unknown-unknown/plugin/$${p//-/_}.wasm $(CARGO_TARGET_DIR)/plugins/$$p.wasm; done

.PHONY: generate
generate: ## Write what is made from code: the custom resources in api/crds
	@cargo run --quiet -p weir-api --example crds -- api/crds

.PHONY: verify
verify: generate ## Fail when something that is made from code was not made again
	@git diff --exit-code -- api/crds

.PHONY: bench-policy
bench-policy: ## Time the thinking: entitlement, admission, reclaim; ends with one line of JSON
	@cargo run --quiet --release -p weir-policy-bench
