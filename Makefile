# `make demo` and `make test` need Python 3.11 or later and nothing else; they make .venv on their first run. Another
# Python beside it: make test PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
WORKERS ?= 2
CUDA ?= cuda12
CHIP ?= h100
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-lowest bench bench-gpu compiled numbers lint docs clean

demo: $(VENV)/.run
	$(BIN)/jaxsoft run digits

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-lowest:  # with each dependency at its lower bound
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution=lowest-direct --editable '.[test]'
	.venv-lowest/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/suite.py --size=cpu

bench-gpu: $(VENV)/.bench-$(CUDA)
	$(BIN)/python benchmarks/suite.py --size=gpu

compiled: $(VENV)/.test  # CHIP=h100,v5e; TPUs need: .venv/bin/pip install 'jax[tpu]'
	$(BIN)/python benchmarks/compiled.py --chip=$(CHIP) --docs

numbers: $(VENV)/.run
	$(BIN)/python benchmarks/documents.py --run

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.docs
	$(BIN)/python docs/build.py

$(VENV)/.run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	version=$$($(BIN)/python -c 'import jaxlib; print(jaxlib.__version__)') && $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --no-deps --upgrade --target $(VENV)/compile-only \
		jax-cuda12-plugin==$$version jax-cuda12-pjrt==$$version || echo 'no compiler for GPUs: tests/compiled skips'
	touch $@

$(VENV)/.docs: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

$(VENV)/.bench-$(CUDA): $(VENV)/.bench
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,$(CUDA)]'
	touch $@

clean:
	rm -rf $(VENV) .venv-lowest runs build dist
