# Every target sets up what it needs: a fresh checkout, Python >= 3.11 and the network are enough.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo console test check bench chaos lock clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## create .venv and install the pinned, hashed packages

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("assay needs Python >= 3.11, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## simulate, train, score and show verdicts; no broker, no Docker, no Java
	$(BIN)/assay demo

console: setup  ## the console on demo data: broker, traffic, worker, warm path; needs Java and Maven
	$(BIN)/assay console --demo

test: setup  ## run every test, in two processes; starts its own real Kafka
	$(BIN)/python -m pytest -n 2

check: setup  ## style, types, import direction, commands in the README
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_tidy.py

bench: setup  ## measure speed, memory and latency on this machine
	$(BIN)/python -m benchmarks

chaos: setup  ## kill workers KILLS times (100) at moments drawn from SEED (1), then check every verdict
	$(BIN)/python -m tests.faults --kills $(or $(KILLS),100) --seed $(or $(SEED),1)

lock:  ## pin every package with its hashes (needs uv)
	uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements.lock
	uv pip compile pyproject.toml --universal --extra dev --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements-dev.lock
	uv pip compile benchmarks/peers/requirements.in --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o benchmarks/peers/requirements.txt

clean:  ## remove the environment and every cache of this checkout
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis assay-demo assay-console-demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
