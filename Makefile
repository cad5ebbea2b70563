# Two commands do everything on a Debian machine with Python 3.11: make demo and make test.
# Packages go into virtual environments outside the checkout: $FRUGAL_CACHE, else ~/.cache/frugal-cloud.

PYTHON ?= python3
PORT ?= 8021
ESTATE ?=
TIERS ?=
DEV := build/dev/bin

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PYTHONUNBUFFERED := 1

.PHONY: help
help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup:
	@$(PYTHON) tests/tools/environment.py dev

.PHONY: system
system: ## Install the Debian packages that the tests need (as root)
	@$(PYTHON) tests/tools/environment.py system

.PHONY: demo
demo: setup ## Show the whole loop on a simulated cloud: build/demo/report.html
	@$(DEV)/python tests/tools/demo.py

.PHONY: test
test: system setup ## Run every test; TIERS="unit lint" runs some
	@$(DEV)/python tests/tools/run_tests.py $(TIERS)

.PHONY: lint
lint: setup ## Run the checks that need no test: ruff, mypy, import-linter, ansible-lint
	@$(DEV)/python tests/tools/run_tests.py lint types imports ansible-lint

.PHONY: format
format: setup ## Put the Python files into the agreed format and fix what ruff can fix
	@$(DEV)/ruff check --fix --exit-zero --quiet .
	@$(DEV)/ruff format .

.PHONY: readmes
readmes: setup ## Write the roles' README.md from their argument specifications
	@$(DEV)/python tests/tools/role_readmes.py

.PHONY: dashboards
dashboards: setup ## Write role grafana's dashboards: roles/grafana/files/dashboards
	@PYTHONPATH=build/root $(DEV)/python -m ansible_collections.frugal.cloud.tests.tools.dashboards

.PHONY: docs
docs: setup ## Build the documentation site: build/docs/html/index.html
	@$(DEV)/python tests/tools/build_docs.py --output build/docs

.PHONY: bench
bench: setup ## Measure against other tools: build/bench.json
	@$(PYTHON) tests/tools/environment.py custodian
	@PYTHONPATH=build/root $(DEV)/python tests/benchmarks/run.py --output build/bench.json

.PHONY: simulator
simulator: setup ## Run the simulated cloud in the foreground: make simulator ESTATE=file PORT=n
	@test -n "$(ESTATE)" || { echo 'error: name an estate file: make simulator ESTATE=file PORT=$(PORT)' >&2; exit 2; }
	@PYTHONPATH=build/root exec $(DEV)/python tests/simulator/serve.py --estate "$(ESTATE)" --port "$(PORT)"

.PHONY: collection
collection: setup ## Build the tarball that Galaxy takes: build/frugal-cloud-<version>.tar.gz
	@$(DEV)/python tests/tools/build_collection.py --output build

.PHONY: workspace
workspace: setup ## Mirror the checkout to where ansible-test runs: build/workspace/manual
	@$(DEV)/python tests/tools/workspace.py build/workspace/manual

.PHONY: pins
pins: setup ## Renew the pins of requirements, *.txt from *.in
	@for name in dev importer custodian eda kubernetes spark; do \
	  { echo "# Made by make pins from $$name.in: change that file."; \
	    $(DEV)/uv pip compile --quiet --upgrade --universal --no-header --no-annotate --python-version 3.11 \
	      tests/requirements/$$name.in; } > build/$$name.txt; \
	  mv build/$$name.txt tests/requirements/$$name.txt; \
	done
	@# pip takes what markers ask for from the Python that it runs in, and hosts have another: their own list has none.
	@for list in tests/requirements/sample_service:3.11:--universal roles/otel_instrumentation/files/python:3.9:--universal \
	  tests/requirements/reference_site:3.11.2:--python-platform=linux \
	  tests/requirements/focus_validator:3.12:--universal; do \
	  IFS=: read -r name version platform <<< "$$list"; \
	  { echo "# Made by make pins from $$(basename $$name).in: change that file."; \
	    $(DEV)/uv pip compile --quiet --upgrade $$platform --no-header --no-annotate --generate-hashes \
	      --python-version $$version $$name.in; } > build/pins.txt; \
	  mv build/pins.txt $$name.txt; \
	done

.PHONY: clean
clean: ## Remove what the other targets made in the checkout
	@rm -rf build
