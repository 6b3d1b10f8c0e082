# docbus: what a developer does. `make` alone lists it. Nothing here asks questions or needs a set-up of its own.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
# What a shell happens to have set must not change what is tested.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

PYTHON ?= python3
ARGS ?=
KAFKA ?=
DOCUMENTS ?= 20000
FAULTS ?= 100
SEED ?=
SECONDS ?= 90
HOURS ?= 1
EDXML ?= $(wildcard ../shared/data/edxml)

BIN := .venv/bin
RUN := $(BIN)/python
# The environment is made anew when a lock, the project's own definition or the checkout's place changes.
STAMP := .venv/.made-from-$(shell (pwd; cat requirements.txt requirements-dev.txt pyproject.toml) | cksum | tr -c '0-9\n' '-')

.PHONY: help setup lock format lint test check vectors demo crashes faults soak fuzz bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with exactly the locked dependencies (every other target does it when needed)

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "docbus needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "making .venv from requirements-dev.txt (once, and again when it changes)"
	@$(PYTHON) -m venv --clear .venv || \
	  { echo "cannot make a virtual environment; on Debian and Ubuntu, install python3-venv first" >&2; exit 1; }
	@# Wheels only: building a source package would run code that no hash covers.
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-input \
	  --require-hashes --only-binary :all: -r requirements-dev.txt
	@# docbus itself, editable; its build backend is in the lock, so nothing is fetched here.
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@touch $@

# No header and no index in the locks: they are the same wherever they were made, and any index may serve them.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
  --no-emit-index-url --no-header --upgrade pyproject.toml
lock: $(STAMP) ## renew requirements.txt and requirements-dev.txt: newest versions that are a week old
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --group dev --constraint requirements.txt --output-file requirements-dev.txt
	@git diff --stat -- requirements.txt requirements-dev.txt

format: $(STAMP) ## put the code in order
	$(RUN) -m ruff check --fix-only --exit-zero --quiet .
	$(RUN) -m ruff format .

lint: $(STAMP) ## style, types, layers
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(BIN)/lint-imports

test: $(STAMP) ## every test; ARGS='tests/unit/wire -x' for some. Kafka tests need Java 17 and Maven
	$(RUN) -m pytest $(ARGS)

check: lint test ## what has to be green: lint and test

vectors: $(STAMP) ## rebuild the golden vectors and show what would change
	$(RUN) -m tests.vectors.build_vectors
	@git status --short -- tests/vectors
	@test -z "$$(git status --porcelain -- tests/vectors)" || { echo "the vectors above differ from those committed" >&2; exit 1; }

demo: $(STAMP) ## agencies exchange real documents; KAFKA=host:port uses your brokers, EDXML=folder your edXML
	@$(RUN) examples/demo.py $(if $(KAFKA),--kafka '$(KAFKA)') $(if $(EDXML),--edxml '$(EDXML)')

crashes: $(STAMP) ## die at every moment of every write, the first time and the last; `make test` has more than half of them
	@$(RUN) -m tests.faults.campaign --all

faults: $(STAMP) ## break things on three Kafka nodes; DOCUMENTS=, FAULTS=, SEED= and ARGS= as in tests/faults/README.md
	@$(RUN) -m tests.faults.harness --documents $(DOCUMENTS) --faults $(FAULTS) $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: $(STAMP) ## let documents flow for HOURS= and see that memory stays flat and nothing is left behind
	@$(RUN) -m tests.faults.soak --hours $(HOURS) $(ARGS)

fuzz: $(STAMP) ## look for inputs that break a reader; needs atheris; SECONDS= for all targets together
	@$(RUN) -m tests.fuzz --seconds $(SECONDS)

bench: $(STAMP) ## measure against raw aiokafka; KAFKA=host:port uses your brokers, else one is started
	@$(RUN) benchmarks/bench.py $(if $(KAFKA),--kafka '$(KAFKA)')

clean: ## remove everything that make made
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
