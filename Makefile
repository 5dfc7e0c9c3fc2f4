# Everything happens in .venv and .venv-peers; but for chromium (below) nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
PEERS := .venv-peers

# Waiting threads that spin slow down whatever else runs.
export OMP_WAIT_POLICY := passive

.PHONY: test demo check lint slow coverage docs benchmarks browser clean

test: $(DEVELOPMENT) browser  ## Set up, then run the tests.
	$(BIN)/python -m pytest

demo: $(RUNTIME)  ## Set up what a user needs, then score a collage and a cat into demo/.
	$(BIN)/python samples/demo.py demo

check: lint test  ## Lint, types and tests: what CI runs.

lint: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(DEVELOPMENT) browser  ## The tests that take minutes: every torchvision CNN, more of timm.
	$(BIN)/python -m pytest -m slow

coverage: $(DEVELOPMENT) browser  ## The tests, and the share of heatmap's lines that they run.
	$(BIN)/python -m pytest --cov=heatmap --cov-report=term

docs: $(DEVELOPMENT)  ## The documentation as a site, in site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

benchmarks: $(PEERS)/.installed  ## Compare with other tools; writes docs/benchmarks.md in about an hour.
	$(PEERS)/bin/python benchmarks/report.py

# As root on Debian; elsewhere the tests end with what they lack.
browser:
	command -v chromium >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } || true

clean:  ## Remove the environments and what demo and docs wrote.
	rm -rf .venv $(PEERS) demo site

$(RUNTIME): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(DEVELOPMENT): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(RUNTIME) $@

# Of its own, since SAHI installs opencv-python over opencv-python-headless.
$(PEERS)/.installed: pyproject.toml benchmarks/requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	touch $@
