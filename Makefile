# Everything a fresh machine needs: Python 3.11+, git, make. `make repro` and `make test` set themselves up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TOOLS  := .venv-tools

# DVC and the stages find the environment's own python first; two cores do not profit from more threads.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup unmoved repro test check format lock docs dist sbom audit clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: unmoved $(STAMP) ## create .venv with the pinned packages and the project

# Commands in an environment name the folder they were made in; a project that was moved or copied would run the old one's.
unmoved:
	@if [ -f "$(STAMP)" ] && ! head -c 4096 "$(BIN)/pip" | grep -qF "$(CURDIR)/$(BIN)/python"; then \
	  echo "The project was moved or copied here: the commands in $(VENV) lead to where it was. Run make clean, then this again." >&2; \
	  exit 1; fi

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found %s; name one: make $(MAKECMDGOALS) PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch "$@"

repro: setup ## rebuild everything that is out of date, from fetch to submission
	dvc repro
	@echo; pneumonia results; echo; echo "Report: report/index.html   Submission: submission.csv"

test: check ## lint, types and tests, those of the detectors on a second backend too
	pytest -n 2 --dist loadfile
	KERAS_BACKEND=jax pytest -n 2 --dist loadfile -m "not slow" tests/keraskit tests/mrcnn tests/yolov3 tests/efficientdet

check: setup ## ruff (lint, format), mypy, dvc.yaml's code deps
	ruff check .
	ruff format --check .
	mypy
	pneumonia deps

format: setup ## let ruff mend what it can
	ruff check --fix .
	ruff format .

PINNED := --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

lock: setup ## renew requirements.lock from pyproject.toml
	uv pip compile pyproject.toml --extra pipeline --extra jax --extra dicom --extra dask --extra lite --extra web --extra dev $(PINNED) --upgrade -o requirements.lock
	$(MAKE) node.lock
	uv pip compile --group tools $(PINNED) --upgrade -o tools.lock

# The part of requirements.lock that a node needs, for its image.
node.lock: requirements.lock pyproject.toml
	uv pip compile pyproject.toml --extra onnx --extra dicom --extra web --group build $(PINNED) --constraints requirements.lock -o node.lock

# What docs, dist, sbom and audit run by: an environment of its own, so that no tool's package meddles with the project's.
$(TOOLS)/.installed: tools.lock
	$(PYTHON) -m venv "$(TOOLS)"
	"$(TOOLS)/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r tools.lock
	@touch "$@"

docs: $(TOOLS)/.installed ## the documentation as a site, in build/docs
	PYTHONPATH=src "$(TOOLS)/bin/sphinx-build" -W --keep-going -q -b html -c docs . build/docs
	@echo "Site: build/docs/index.html"

dist: $(TOOLS)/.installed ## wheel and sdist, in dist
	rm -rf dist build/lib build/bdist.*
	"$(TOOLS)/bin/python" -m build

sbom: $(TOOLS)/.installed ## what requirements.lock installs, as CycloneDX, in dist/sbom.json
	@mkdir -p dist
	"$(TOOLS)/bin/cyclonedx-py" requirements --pyproject pyproject.toml --output-reproducible --validate -o dist/sbom.json requirements.lock

audit: $(TOOLS)/.installed ## known vulnerabilities of what requirements.lock installs; status 3: it could not be found out
	"$(TOOLS)/bin/python" -m benchmarks.audit requirements.lock

clean: ## remove the environments and the caches of tools (not DVC's cache)
	rm -rf "$(VENV)" "$(TOOLS)" .pytest_cache .mypy_cache .ruff_cache build dist
