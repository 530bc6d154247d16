# Everything that is done with z1 by hand. Works with GNU make from 3.81 on, on Linux and on macOS.
#
#     make setup    install z1, its extras and its tools into .venv (again only when pyproject.toml or constraints.txt changed)
#     make demo     see z1 at work with the model in the package (installs no more than that needs)
#     make test     what a change has to pass: lint, format, types, tests
#     make format   put the source into its form
#     make bench    our own speed against named peers (BENCH=--quick ends sooner)
#     make clean    remove what the tools left behind; .venv and runs/ stay
#
# On Linux without a GPU this leaves out gigabytes of CUDA:
#
#     make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
BENCH ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --no-compile $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt
STARTED := .venv/.installing

.PHONY: help setup demo test format bench clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

setup: .venv/.tools

# A stamp is written last. A broken or half-made .venv (STARTED is still there) is made anew.
.venv/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "z1 needs Python 3.11 or later; say which: make setup PYTHON=python3.12")'
	@if [ -e $(STARTED) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --clear .venv; fi
	@touch $(STARTED)
	$(PIP) -e .
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

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script $(BENCH) || exit 1; done

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage src/*.egg-info
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
