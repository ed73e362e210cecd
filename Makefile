# `make help` lists the targets. Set-up happens once, and again when requirements.lock changes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# What the targets start is named by its path: the make of macOS (3.81) looks it up by a PATH of its own.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
# What is found there would count as installed, and be missing once they are gone.
unexport PYTHONPATH PYTHONHOME
export PIP_USER := 0

.PHONY: help repro repository test test-long check lint audit lock cache clean-cache

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':[^#]*## *' '{printf "%-16s%s\n", $$1, $$2}'

repro: repository $(READY)  ## set up, then run the pipeline: data, training, profile, report
	$(BIN)/dvc repro

# An archive of the project would be told so by DVC, after minutes of set-up.
repository:
	@test -e .git || { echo 'DVC needs a git repository, and this folder is none: git clone the project, or make one here: git init && git add --all && git commit -m "as downloaded"'; exit 1; }

test: $(READY)   ## set up, then run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-long: $(READY) ## every model of the table trains an epoch on real pictures; minutes
	$(BIN)/python -m pytest -m long --durations=10

check: lint test ## linters, types and tests

lint: $(READY)   ## ruff and mypy alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(READY)  ## report known vulnerabilities of the pinned packages
	.ci/audit

lock: $(READY)   ## resolve pyproject.toml into requirements.lock, for every platform
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

cache: $(READY)  ## list caches and checkpoints
	$(BIN)/python -m stages.cache

clean-cache: $(READY) ## list caches and checkpoints, and remove them
	$(BIN)/python -m stages.cache --clear

# The lock is complete, so that nothing is resolved anew (of packages of weights only data are used,
# whatever their code asks for). pip would compile with one core alone; a file that cannot be compiled,
# such as a template, hinders nobody. The mark is written last: a set-up that broke off is begun again.
$(READY): requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ...")'
	test "$$($(BIN)/python -V 2>&1)" = "$$($(PYTHON) -V 2>&1)" || $(PYTHON) -m venv --clear .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m compileall -q -j 0 .venv/lib > /dev/null || true
	$(BIN)/python -m stages.plots_template
	touch $(READY)
