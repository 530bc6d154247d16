# The commands of this project. GNU make 3.81 or later, on Linux and macOS.
#
#     make setup    install z1, its extras and its tools into .venv (again only when pyproject.toml or constraints.txt changed)
#     make demo     the model in the package thinks, is cut at a budget, and is measured (installs only what that needs)
#     make test     what a change has to pass: lint, format, types, tests
#     make test-oldest
#                   the tests with the oldest libraries that pyproject.toml admits, in .venv-oldest (Python 3.11)
#     make docs     the documentation as a site in build/site; broken links are errors
#     make format   format the source
#     make bench    our own speed against named peers (BENCH=--quick ends sooner)
#     make clean    remove build products and caches; .venv, .venv-oldest, .venv-docs and runs/ stay
#
# On Linux without a GPU this leaves out gigabytes of CUDA:
#
#     make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu

# Compiled modules are kept: hundreds of test processes import torch and transformers.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
TORCH_INDEX ?=
BENCH ?=

BIN := .venv/bin
INSTALL := -m pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PIP := $(BIN)/python $(INSTALL) -c constraints.txt
OLDEST := .venv-oldest/bin/python
STARTED := .venv/.installing
TOOLS := aiohttp datasets httpx hypothesis pytest-timeout pytest-xdist

.PHONY: help setup demo test test-oldest docs format bench clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

setup: .venv/.tools

# A stamp is written last. A broken or half-made .venv (STARTED is still there) is made anew.
.venv/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "z1 needs Python 3.11 or later; name one: make setup PYTHON=python3.12")'
	@if [ -e $(STARTED) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --clear .venv; fi
	@touch $(STARTED)
	$(PIP) -e ".[report]"
	@rm -f $(STARTED)
	@touch $@

.venv/.tools: .venv/.core
	$(PIP) -e ".[dev]"
	@touch $@

demo: .venv/.core
	$(BIN)/z1 demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n auto --dist worksteal

.venv-oldest/.tools: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv --clear .venv-oldest
	$(OLDEST) $(INSTALL) -c constraints-oldest.txt -e ".[chat,curate,evaluate,ray,report,serve,train]" $(TOOLS)
	@touch $@

test-oldest: .venv-oldest/.tools
	$(OLDEST) -m pytest -q -n auto --dist worksteal

.venv-docs/.tools: pyproject.toml
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install --quiet "mkdocs-material>=9.8,<10"
	@touch $@

docs: .venv-docs/.tools
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script $(BENCH) || exit 1; done

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage src/*.egg-info
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
