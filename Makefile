# Every target works in a fresh clone with no other step. `make` alone prints what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadgroup
UV := VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links pyproject.toml --extra demo --group dev --group lock
C_SOURCES := $(wildcard src/counterfoil/dataplane/_*.[ch])
NODE := tests/clients/node

.PHONY: help setup demo test quick serve bench check fmt lock clean fuzz

help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.package .venv/.system ## Make .venv with the product and all it needs, and the system packages it can use

demo: setup ## Run the main job from nothing: real purchases in, a month of movements out, checked
	@$(BIN)/counterfoil demo

serve: setup ## Run API, console and worker in one process (ARGS="--port 8080 ...")
	@$(BIN)/counterfoil serve $(ARGS)

test: setup .venv/.browser .venv/.node ## Run every test (ARGS="..." goes to pytest)
	@$(PYTEST) $(ARGS)

quick: setup ## Run the tests that take no time and need no other server, cluster, browser or client
	@$(PYTEST) -m "not (postgres or s3 or spark or browser or clients or crash or slow)" --ignore=tests/clients $(ARGS)

bench: setup .venv/.bench ## Measure against the peers (ROWS=10000000 ROUNDS=5 CASES=full,...); writes docs/benchmarks.md
	@$(BIN)/python -m bench $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(CASES),--cases $(CASES)) \
		$(ARGS)

check: setup ## Format, lint, types, layers: each is said, and one that fails does not hide the next
	@failed=; \
	say() { echo "check: $$1"; shift; "$$@" || failed=1; }; \
	say format $(BIN)/ruff format --quiet --diff .; \
	say lint $(BIN)/ruff check --quiet .; \
	say types $(BIN)/basedpyright; \
	say layers $(BIN)/lint-imports --no-cache --no-logo; \
	if [ -n "$$failed" ]; then echo "check: failed; make fmt mends the format"; exit 1; fi; \
	echo "check: all well"

fuzz: setup ## Search for faults of the C code under sanitisers (ROUNDS=1 EXAMPLES=1000)
	@scripts/fuzz_csv $(or $(ROUNDS),1) $(EXAMPLES)

fmt: setup ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: .venv/bin/uv ## Compile both locks anew to the newest versions pyproject.toml allows
	@$(COMPILE) --upgrade -o requirements.lock
	@$(COMPILE) --upgrade --group bench -c requirements.lock -o requirements-bench.lock
	@echo "lock: requirements.lock and requirements-bench.lock written"

clean: ## Remove what setup, tests and builds left behind
	@rm -rf .venv build dist src/*.egg-info src/counterfoil/dataplane/_*.so $(NODE)/node_modules
	@rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache .schemathesis spark-warehouse
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# uv is itself in the lock with its hashes, so pip is trusted with one file only.
.venv/bin/uv:
	@scripts/python-check $(PYTHON)
	@echo "setup: .venv with $$($(PYTHON) --version)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@awk '/^uv==/,!/\\$$/' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt

# pip steps in where it knows an index that uv does not.
.venv/.packages: requirements.lock | .venv/bin/uv
	@echo "setup: installing the locked packages"
	@$(UV) pip install --quiet --require-hashes -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

.venv/.package: .venv/.packages pyproject.toml setup.py $(C_SOURCES) | .venv/.compiler
	@echo "setup: installing counterfoil, building its encoder"
	@rm -f src/counterfoil/dataplane/_*.so
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable . \
		|| $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "import counterfoil.dataplane._csv, counterfoil.dataplane._chain" 2>/dev/null || printf '%s\n' \
		"setup: the C encoder is not built; exports use the Python one and are slower." \
		"       To see why: $(BIN)/python setup.py build_ext --inplace"
	@touch $@

.venv/.bench: requirements-bench.lock | .venv/.packages
	@echo "setup: installing the peers that bench measures against"
	@$(UV) pip install --quiet --require-hashes -r requirements-bench.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes -r requirements-bench.lock
	@touch $@

.venv/.compiler: scripts/system-packages | .venv/bin/uv
	@scripts/system-packages compiler
	@touch $@

.venv/.system: scripts/system-packages | .venv/bin/uv
	@scripts/system-packages unzip postgres java
	@touch $@

.venv/.browser: scripts/system-packages | .venv/bin/uv
	@scripts/system-packages chromium node
	@touch $@

.venv/.node: $(NODE)/package.json $(NODE)/package-lock.json | .venv/.browser
	@echo "setup: installing the vendor's Node clients"
	@if command -v npm >/dev/null; then cd $(NODE) && npm ci --silent --no-audit --no-fund; \
		else echo "setup: npm is missing; tests marked clients cannot run"; fi
	@touch $@
