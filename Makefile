# Every target is one line of `make help`. What CI runs is .ci/run: `make test` and `make lint`.
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

# The host programs in Rust; weir-scheduler is Go.
PROGRAMS := weir kubectl-weir weir-demo weir-admission
# Modules in Go. local/ray holds a version only.
GO_MODULES := scheduler tests/extension local/kube
# Runs steps, which are the targets step-NAME at the end of this file, those in Rust and those in Go at the same time.
# Not by `cargo run`, which sets variables that make other packages look changed to the cargo that a step calls.
SETUP := cargo build --quiet -p weir-setup && $(CARGO_TARGET_DIR)/debug/weir-setup

.PHONY: help
help: ## Explain every target
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What a build needs, found in the first second and installed where rustup can.
.PHONY: ready ready-to-lint
ready:
	@$(CURDIR)/local/preflight
ready-to-lint:
	@$(CURDIR)/local/preflight lint

.PHONY: build
build: ready ## Build every program to target/bin/ and the plugins to target/plugins/
	@$(SETUP) rust plugins programs

.PHONY: weir
weir: ready
	@$(SETUP) rust

.PHONY: plugins
plugins: ready ## Build the scheduler plugins to target/plugins/NAME.wasm, and packed to target/plugins/packed/
	@$(SETUP) rust plugins

.PHONY: guests
guests: ready ## Build the SDK's examples to target/guests/NAME.wasm, for the Go tests
	@$(SETUP) guests

# An empty value and 0 mean no.
KEEP_IT := $(filter-out 0 no false,$(KEEP))
WITH_RAY := $(filter-out 0 no false,$(RAY))

.PHONY: run
run: ready ## Run a real cluster's workload and watch it: NODES= PODS= SPEED= KEEP=1 RAY=1
	@$(SETUP) rust plugins programs $(if $(WITH_RAY),ray)
	@$(CARGO_TARGET_DIR)/bin/weir-demo --plugins $(CARGO_TARGET_DIR)/plugins/packed \
		$(if $(NODES),--nodes $(NODES)) $(if $(PODS),--pods $(PODS)) $(if $(SPEED),--speed $(SPEED)) \
		$(if $(KEEP_IT),--keep) $(if $(WITH_RAY),--ray)

.PHONY: down
down: ## End the clusters that `make run KEEP=1` left up
	@[[ -x $(CARGO_TARGET_DIR)/bin/weir-demo ]] || $(MAKE) weir
	@$(CARGO_TARGET_DIR)/bin/weir-demo down

.PHONY: test
test: ready ## Run every test: unit, property, doc, golden and end-to-end on a real control plane
	@$(SETUP) rust plugins guests rust-tests programs extension ray go-tests
	@cargo test --quiet --workspace --no-fail-fast
	@cd scheduler && WEIR_PLUGINS=$(abspath $(CARGO_TARGET_DIR)/plugins) go test -buildvcs=false -count=1 ./...
	@cd tests/extension && WEIR_PLUGINS=$(abspath $(CARGO_TARGET_DIR)/plugins) go test -buildvcs=false -count=1 ./...

.PHONY: lint
lint: ready-to-lint ## Check the form: rustfmt, clippy, gofmt, go vet
	@$(SETUP) rustfmt clippy gofmt vet

.PHONY: fmt
fmt: ready-to-lint ## Format everything
	@cargo fmt --all
	@gofmt -w $(GO_MODULES)

.PHONY: new-plugin
new-plugin: ready ## Begin a scheduler plugin: make new-plugin NAME=zone-filter
	@cargo run --quiet --manifest-path $(CURDIR)/Cargo.toml -p new-plugin -- "$${NAME:-}"

.PHONY: generate
generate: ready ## Write what is made from code: the custom resources in api/crds
	@cargo run --quiet -p weir-api --example crds -- api/crds

.PHONY: verify
verify: generate ## Fail when something that is made from code was not made again
	@git diff --exit-code -- api/crds

.PHONY: bench-policy
bench-policy: ready ## Time the thinking: entitlement, admission, reclaim; ends with one line of JSON
	@cargo run --quiet --release -p weir-policy-bench

.PHONY: bench-call
bench-call: plugins ## Time one call of a plugin; PEERS=DIR adds other people's modules; ends with one line of JSON
	@cd scheduler && PEERS=$(if $(PEERS),$(abspath $(PEERS))) go run -buildvcs=false ./internal/benchcall \
		-plugins $(abspath $(CARGO_TARGET_DIR)/plugins)

.PHONY: bench-schedule
bench-schedule: build ## Time whole schedulers, Weir's against upstream: PEERS=DIR OPTIONS='-nodes 1000'; ends with one line of JSON
	@cd scheduler && go build -buildvcs=false -o $(abspath $(CARGO_TARGET_DIR))/bin/kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler
	@cd tests/extension && go build -buildvcs=false -o $(abspath $(CARGO_TARGET_DIR))/bin/kube-scheduler-wasm \
		sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/cmd/scheduler
	@cd scheduler && PEERS=$(if $(PEERS),$(abspath $(PEERS))) go run -buildvcs=false ./internal/bench \
		-bin $(abspath $(CARGO_TARGET_DIR))/bin -plugins $(abspath $(CARGO_TARGET_DIR)/plugins/packed) $(OPTIONS)

.PHONY: bench-admission
bench-admission: weir ## Time admission on a real API server: SIZES='--pods 20000 …'; ends with one line of JSON
	@cargo build --quiet --workspace --bin bench-admission
	@$(CARGO_TARGET_DIR)/debug/bench-admission $(SIZES)

.PHONY: clean
clean: ## Remove what was built, the cached programs included
	@cargo clean --quiet
	@rm -rf .cache

# The steps: quiet, because what they print is shown only when they fail.

.PHONY: step-rustfmt
step-rustfmt:
	@cargo fmt --all --check

.PHONY: step-clippy
step-clippy:
	@cargo clippy --quiet --workspace --all-targets -- -D warnings

# The whole workspace, because a package alone gets other features of its dependencies than `make test` gives them, and
# all of them would be compiled twice.
.PHONY: step-rust
step-rust:
	@cargo build --quiet --workspace $(addprefix --bin ,$(PROGRAMS))
	@mkdir -p $(CARGO_TARGET_DIR)/bin
	@for p in $(PROGRAMS); do ln -f $(CARGO_TARGET_DIR)/debug/$$p $(CARGO_TARGET_DIR)/bin/$$p; done

.PHONY: step-plugins
step-plugins:
	@CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='$(PLUGIN_FLAGS)' \
		cargo build --quiet --profile plugin --target wasm32-unknown-unknown $(addprefix -p ,$(PLUGINS))
	@mkdir -p $(CARGO_TARGET_DIR)/plugins
	@# `make run` runs whatever lies in packed/, so what is no plugin any more goes.
	@for file in $(CARGO_TARGET_DIR)/plugins/*.* $(CARGO_TARGET_DIR)/plugins/packed/*.*; do \
		name="$$(basename "$${file%.*}")"; [[ ! -e $$file || -d plugins/$$name ]] || rm "$$file"; done
	@for p in $(PLUGINS); do \
		cp $(CARGO_TARGET_DIR)/wasm32-unknown-unknown/plugin/$${p//-/_}.wasm $(CARGO_TARGET_DIR)/plugins/$$p.wasm; \
		$(CARGO_TARGET_DIR)/bin/weir plugin pack $(CARGO_TARGET_DIR)/plugins/$$p.wasm >/dev/null; \
		rm -f $(CARGO_TARGET_DIR)/plugins/packed/$$p.yaml; \
		[[ ! -e plugins/$$p/profile.yaml ]] || cp plugins/$$p/profile.yaml $(CARGO_TARGET_DIR)/plugins/packed/$$p.yaml; done

.PHONY: step-guests
step-guests:
	@CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='$(PLUGIN_FLAGS)' \
		cargo build --quiet --profile plugin --target wasm32-unknown-unknown -p kube-scheduler-guest --examples
	@mkdir -p $(CARGO_TARGET_DIR)/guests
	@for file in sdk/examples/*.rs; do name="$$(basename "$${file%.rs}")"; \
		cp $(CARGO_TARGET_DIR)/wasm32-unknown-unknown/plugin/examples/$$name.wasm $(CARGO_TARGET_DIR)/guests/; done

.PHONY: step-rust-tests
step-rust-tests:
	@cargo test --quiet --workspace --no-run

.PHONY: step-gofmt
step-gofmt:
	@unformatted="$$(gofmt -l $(GO_MODULES))"; \
		[[ -z "$$unformatted" ]] || { echo "not formatted, type \`make fmt\`: $$unformatted" >&2; exit 1; }

.PHONY: step-vet
step-vet:
	@for module in $(GO_MODULES); do (cd $$module && go vet -buildvcs=false ./...); done

.PHONY: step-go-tests
step-go-tests:
	@for module in scheduler tests/extension; do (cd $$module && go test -buildvcs=false -c -o /dev/null ./...); done
