# `make` lists the commands.

PYTHON ?= python3
VENV   ?= .venv
NAME   ?= birads-demo

BIN     := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV     := $(VENV)/.dev-installed
SCRIPTS := node_modules/.installed
NODE    := PATH="$(CURDIR)/$(BIN):$$PATH"
# One process more than cores, because tests wait for servers and browsers; each runs whole files.
TESTERS := $(shell cores=$$(nproc); echo $$((cores < 4 ? cores + 1 : 4)))
# A process that ends is not replaced: the scheduler would wait for its files for ever.
# Without bytecode, each of the hundreds of processes that tests start would compile all modules.
PYTEST  := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

##@ Use

.PHONY: run
run: $(RUNTIME) ## Install and serve: make run [HOST=127.0.0.1] [PORT=8000]
	$(BIN)/flask db upgrade
	exec $(BIN)/gunicorn --config gunicorn.conf.py wsgi:app

.PHONY: demo-model shipped-model
shipped-model: demo-model # former name
demo-model: $(RUNTIME) ## Train the demonstration model again: make demo-model DATA=folder [NAME=birads-demo]
	@[[ -n "$(DATA)" ]] || { echo "Name the folder of the data: make demo-model DATA=folder" >&2; exit 2; }
	$(BIN)/flask train --preset demo --data "$(DATA)" --name "$(NAME)"

##@ Develop

.PHONY: test
test: $(DEV) chromium pacs servers test-js ## Run all tests but the slow ones, with browser and PACS: make test [ARGS="tests/web -k login"]
	$(PYTEST) -m "not slow and not image and not services" $(ARGS)

.PHONY: test-full
test-full: $(DEV) chromium pacs servers ## Run those with an instance folder on PostgreSQL, Redis and S3: make test-full [ARGS="tests/web"]
	BIRADS_TEST_SERVICES=1 $(PYTEST) -m "not slow and not image" $(ARGS)

.PHONY: test-slow
test-slow: $(DEV) chromium pacs servers ## Run the slow tests: make test-slow [ARGS="tests/training"]
	$(PYTEST) -m slow $(ARGS)

.PHONY: test-js
test-js: $(SCRIPTS) ## Run the JavaScript tests
	$(NODE) npm test --silent

.PHONY: lint
lint: $(DEV) $(SCRIPTS) ## Check style and types
	$(NODE) npm run --silent lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: language
language: $(DEV) ## Check docstrings and names
	$(BIN)/python -m tests.support.language

.PHONY: format
format: $(DEV) $(SCRIPTS) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(NODE) npm run --silent format

.PHONY: bench
bench: $(RUNTIME) ## Measure speed and memory: make bench [ARGS="--only features"]
	TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python -m bench.bench $(ARGS)

.PHONY: scale
scale: $(DEV) ## Update the tables and the chart of docs/scale.md from the recorded cost of an exam
	$(BIN)/python -m bench.scale

.PHONY: test-image test-docker
test-docker: test-image # former name
test-image: $(DEV) builder ## Build and run the Docker image without Docker: make test-image [TRAIN_IMAGE=1] (that for training as well)
	TRAIN_IMAGE="$(TRAIN_IMAGE)" $(BIN)/python -m pytest -m image $(ARGS) tests/image

.PHONY: sbom
sbom: $(RUNTIME) ## List all packages with versions and licences: make sbom [FILE=sbom.json] (CycloneDX)
	$(BIN)/python docker/sbom.py "$(or $(FILE),sbom.json)" requirements.lock

.PHONY: dicom-table
dicom-table: $(DEV) ## Update the tables of docs/dicom.md and docs/cases.md: make dicom-table [ARGS=20000] (number of damaged files)
	$(BIN)/python -m tests.support.dicom_table $(ARGS)

.PHONY: screenshots
screenshots: $(DEV) chromium ## Update the screenshots of the documents
	$(BIN)/python tests/browser/screenshots.py $(ARGS)

.PHONY: translations
translations: $(RUNTIME) ## Update and compile the translations
	PYTHONPATH=. $(BIN)/pybabel -q extract -F babel.cfg -k lazy -k lazy_gettext -k N_ --no-location --sort-output \
	  -o birads_app/translations/messages.pot .
	$(BIN)/pybabel -q update -i birads_app/translations/messages.pot -d birads_app/translations -w 110 \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	$(BIN)/pybabel -q compile -d birads_app/translations

.PHONY: first-view
first-view: $(DEV) chromium ## Measure the time to the first images of a large exam
	$(BIN)/python tests/browser/first_view.py $(ARGS)

.PHONY: lock constraints
constraints: lock # former name
lock: $(DEV) ## Pin all packages with their hashes: make lock [ARGS="--upgrade-package NAME"]
	$(BIN)/python -m tests.support.lock $(ARGS)

.PHONY: clean
clean: ## Remove caches and the virtual environment, but not the instance folder
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -not -path './instance/*' -prune -exec rm -rf {} +

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- virtual environment: updated when a lock file changes; pip checks every package against its hash

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is: $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Choose another one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.lock requirements-web.lock | $(BIN)/python
	@echo "Installing the packages of requirements.txt (a few minutes the first time)"
	$(PIP) install -r requirements.lock
	@touch $@

$(DEV): requirements-dev.lock requirements-cluster.lock $(RUNTIME) | $(BIN)/python
	$(PIP) install -r requirements-dev.lock
	@touch $@

# ---- JavaScript tools: Node.js 20 or newer of the machine, otherwise from PyPI

$(SCRIPTS): package.json package-lock.json requirements-node.lock $(DEV)
	@command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || \
	  $(PIP) install -r requirements-node.lock
	$(NODE) npm ci --silent --no-audit --no-fund
	@touch $@

# ---- programs for the tests: installed from Debian as root; required if CI=true
# $(call debian,condition,packages,tests that need them)

define debian
@present() { (PATH="$$PATH:/usr/sbin"; $(1)) &>/dev/null; }; \
if present; then exit 0; fi; \
if [[ "$$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then \
  echo "Installing $(2) for $(3)"; \
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
    $(2) >/dev/null || true; \
fi; \
if present; then exit 0; fi; \
if [[ "$${CI:-}" == true ]]; then echo "CI=true, but there is no $(2) for $(3)." >&2; exit 1; fi; \
echo "To be skipped: $(3). Not all of $(2) are here. As root: apt-get install $(2)"
endef

.PHONY: chromium
chromium:
	$(call debian,command -v chromium || command -v chromium-browser,chromium chromium-driver,the browser tests)

.PHONY: pacs
pacs:
	$(call debian,command -v storescp && command -v dciodvfy && command -v Orthanc && \
	  ls /usr/share/orthanc/plugins/libOrthancDicomWeb.so,dcmtk dicom3tools orthanc orthanc-dicomweb,the tests with a PACS)

.PHONY: servers
servers:
	$(call debian,ls /usr/lib/postgresql/*/bin/postgres && command -v redis-server,postgresql redis-server,the tests with servers)

.PHONY: builder
builder:
	$(call debian,command -v buildah && command -v debootstrap,buildah debootstrap,the test of the Docker image)
