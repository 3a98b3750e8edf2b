# Two commands matter: `make demo` and `make test`. Each does its own set-up and says what it does.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Checkouts on one machine keep out of each other's way: their test beds are named by where they stand.
MARK := $(shell printf %s "$(CURDIR)" | cksum | cut -d' ' -f1)
# The test of the pages has a demo of its own.
DEMO := $(or $(P861_DEMO),demo-$(MARK))
BIN := $(or $(CARGO_TARGET_DIR),target)/debug

# The builds that `make release` packs and `make bench` measures: release; or debug, which is quicker and serves to try the files out.
PROFILE := release

# Runs something whose beds are taken down however it ends, unless P861_KEEP=1 was asked for.
define on_beds
beds=$$(mktemp); clean() { while read -r bed; do if $(BIN)/testbed list | grep -q "^$$bed "; then $(BIN)/testbed --name "$$bed" down; fi; done <"$$beds"; rm -f "$$beds"; }; \
if [ "$(P861_KEEP)" != 1 ]; then trap clean EXIT; trap 'exit 130' INT TERM; fi; \
P861_BEDS=$$beds $(1)
endef

.PHONY: help demo demo-env clean-demo test bench bench-large scale soak book strangers fuzz generate release setup build lint lint-selftest audit

help:
	@echo 'make demo          two sites, two applications, one measured drill (KEEP=1 leaves the sites up)'
	@echo 'make demo-env      what your shell needs to use the sites of a demo that are still up: eval "$$(make -s demo-env)"'
	@echo 'make clean-demo    take the demo down'
	@echo 'make test          every suite, with a closing count'
	@echo 'make bench         figures: backup and restore of 30,000 objects beside what the API servers take without us; memory; overhead (PROFILE=debug)'
	@echo 'make bench-large   the same, and the memory that 300,000 objects take, which takes several times as long'
	@echo 'make scale         12 districts, 20 repositories, 2,000 applications, 10,000 pods: how soon it settles, what it costs, and its memory'
	@echo 'make soak          the whole night: every alert fires by its cause, becomes a ticket, and ends as its runbook says; every interleaving of the leases; and drills in the worst of company: killed leaders, aborts, a store that is gone or damaged (the night and the leases: about fourteen minutes; the drills come on top)'
	@echo 'make book          the pages for newcomers and the runbooks, typed as they stand on one demo in a plain shell, and compared with what they promise (about half an hour; part of make soak)'
	@echo 'make strangers     an application that nobody here wrote, MediaWiki on MariaDB: discovered, backed up, drilled, restored (about eight minutes)'
	@echo 'make fuzz          what comes from outside, damaged in a hundred thousand ways (CASES=…; about two minutes)'
	@echo 'make generate      write the CRDs and the references of API and command line'
	@echo 'make release       write what users install into dist/: image, charts, p861, bill of materials, checksums (PROFILE=debug; URL=https://… for krew)'
	@echo 'make lint          format, clippy, unused dependencies, licences; make lint-selftest sees it refuse a fault of each sort'
	@echo 'make audit         advisories against what Cargo.lock pins (fetches their database from GitHub)'

setup:
	@tests/setup.sh

build: setup
	@echo 'Building p861, p861-operator and the test bed (about ten minutes the first time, seconds afterwards) …'
	@cargo build --quiet --workspace --bins

# However it ends, by Ctrl-C too, nothing is left, unless KEEP=1 was asked for.
demo: build
	@if [ "$(KEEP)" != 1 ]; then trap '$(BIN)/testbed --name $(DEMO) down' EXIT; trap 'exit 130' INT TERM; fi; \
	P861_TESTBED=$(DEMO) KEEP=$(KEEP) $(BIN)/p861-demo

demo-env:
	@$(BIN)/testbed --name $(DEMO) env --hub

# With the test bed that brought it up: a build that is broken meanwhile keeps nothing up.
clean-demo:
	@[ -x $(BIN)/testbed ] || $(MAKE) --no-print-directory build
	@$(BIN)/testbed --name $(DEMO) down

test: setup
	@tests/count.sh tests/all.sh

# However it ends, nothing is left. With the operator as it is shipped: building that takes about ten minutes the first time. P861_BENCH_OBJECTS=3000 for a quick look.
bench-large: export P861_BENCH_LARGE ?= 300000
bench bench-large: build
	@cargo build --quiet $(if $(filter release,$(PROFILE)),--release )--workspace --bin p861-operator
	@bed=bench-$$$$; trap "$(BIN)/testbed --name $$bed down" EXIT; trap 'exit 130' INT TERM; \
	P861_TESTBED=$$bed P861_PROGRAMS=$(CURDIR)/target/$(PROFILE) $(BIN)/p861-bench

# A city's size in API servers that have objects only; with the operator as it is shipped. Building that takes about ten minutes the first time.
scale: build
	@cargo build --quiet --release --workspace --bin p861-operator
	@P861_PROGRAMS=$(CURDIR)/target/release cargo test --quiet --workspace --test suites -- --ignored scale:: --nocapture

# Every alert by its real cause, to its ticket, to its end.
soak: build
	@cargo test --quiet --workspace --test suites -- --ignored runbook_alerts::every_alert --nocapture
	@cargo test --quiet --workspace --test suites -- --ignored policy_slots::
	@cargo test --quiet --workspace --lib -- --ignored lease::
	@$(call on_beds,cargo test --quiet --workspace --test e2e -- --soak)
	@$(MAKE) --no-print-directory book

# README, the first hour, day and night, the runbooks, and the installation, in this order.
book: build
	@$(call on_beds,cargo test --quiet --workspace --test e2e -- --book)

# Two sites, and the images of two more of Debian's packages.
strangers: build
	@$(call on_beds,cargo test --quiet --workspace --test e2e -- --ignored)

# What it finds is kept beside the test, and tried first ever after.
fuzz: build
	@PROPTEST_CASES=$(or $(CASES),100000) cargo test --quiet --workspace --test core_suites -- outside::

generate: build
	@$(BIN)/crdgen charts/p861-crds/templates
	@$(BIN)/crdgen --docs docs/API.md
	@$(BIN)/p861 reference > docs/CLI.md

# No registry is needed. Building with the profile release takes about ten minutes the first time.
release: setup
	@echo 'Building p861, p861-operator, and the test bed, which packs them …'
	@cargo build --quiet --workspace --bin testbed
	@cargo build --quiet --workspace $(if $(filter release,$(PROFILE)),--release )--bin p861 --bin p861-operator
	@$(BIN)/testbed release --programs target/$(PROFILE) --to dist $(if $(URL),--url '$(URL)')

lint:
	@tests/setup.sh lint
	@tests/lint.sh

lint-selftest:
	@tests/setup.sh lint
	@tests/lint-closes.sh

audit:
	@tests/setup.sh lint
	@PATH=$(CURDIR)/target/tools/bin:$$PATH cargo deny --locked check advisories
