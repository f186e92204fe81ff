# Two commands do everything on a fresh machine: 'make demo' and 'make test'. They need python3 (3.11 or newer) with
# venv and its headers, git, and a C++ compiler. Nothing outside this folder is changed.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Models lie here, and not in the user's own folder.
export CALLBOARD_MODELS := $(CURDIR)/.models

.PHONY: demo test lint types imports pytest chaos long fuzz bench backlog lock clean

demo: .venv/ready .models/smollm2
	@$(BIN)/python -m examples.review.demo

test: lint types imports pytest

lint: .venv/ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/ready
	@$(BIN)/mypy
	@$(BIN)/basedpyright

imports: .venv/ready
	@$(BIN)/lint-imports --no-cache

pytest: .venv/ready .models/smollm2
	@$(BIN)/python -m pytest -q

# Ten minutes of harm at random, then the ledger, and five of harm to durable work; SEED=7 repeats one. Their short
# forms are a part of 'make test'.
chaos: .venv/ready
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.chaos.durable $(if $(SEED),--seed $(SEED))

long: .venv/ready .models/smollm2
	@$(BIN)/python -m pytest -q -m long

# What takes bytes from others, led by coverage; SECONDS=600 for each of eight targets. Short forms are in 'make test'.
fuzz: .venv-fuzz/ready
	@for target in grant name subject decoder task frames server_log credentials; do \
	  .venv-fuzz/bin/python -m tests.fuzz $$target $(or $(SECONDS),60) || exit 1; done

bench: .venv-bench/ready .venv-autogen/ready
	@.venv-bench/bin/python -m benchmarks

# A million tasks; ten minutes.
backlog: .venv-bench/ready
	@.venv-bench/bin/python -m benchmarks.backlog

.venv/ready: requirements/dev.txt pyproject.toml setup.py
	@echo "setting up .venv (once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The model in the box, 93 MB, once; by its hash.
.models/smollm2: | .venv/ready
	@$(BIN)/callboard model fetch smollm2
	@touch $@

.venv-bench/ready: requirements/bench.txt pyproject.toml setup.py .venv/ready
	@echo "setting up .venv-bench (once) ..."
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@.venv-bench/bin/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

.venv-fuzz/ready: requirements/fuzz.txt pyproject.toml setup.py .venv/ready
	@echo "setting up .venv-fuzz (once) ..."
	@$(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@.venv-fuzz/bin/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

.venv-autogen/ready: requirements/autogen.txt
	@echo "setting up .venv-autogen (once) ..."
	@$(PYTHON) -m venv .venv-autogen
	@.venv-autogen/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/autogen.txt
	@touch $@

# Take newer versions: needs uv. CI uses what is locked here, with hashes.
lock:
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/pip install -q uv
	@$(BIN)/uv pip compile -q --upgrade pyproject.toml requirements/build.in --extra local --extra minilm --extra review --group test --group lint \
	  --generate-hashes --no-header --no-annotate --python-version 3.11 -o requirements/dev.txt
	@$(BIN)/uv pip compile -q --upgrade pyproject.toml --group bench \
	  --generate-hashes --no-header --no-annotate --python-version 3.11 -o requirements/bench.txt
	@$(BIN)/uv pip compile -q --upgrade pyproject.toml --group fuzz \
	  --generate-hashes --no-header --no-annotate --python-version 3.11 -o requirements/fuzz.txt
	@$(BIN)/uv pip compile -q --upgrade requirements/autogen.in \
	  --generate-hashes --no-header --no-annotate --python-version 3.11 -o requirements/autogen.txt

clean:
	rm -rf .models .venv .venv-bench .venv-fuzz .venv-autogen build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
