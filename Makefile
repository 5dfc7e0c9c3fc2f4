# Everything happens in .venv and .venv-peers; nothing else on the machine is touched.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PEERS := .venv-peers

.PHONY: test demo check slow benchmarks browser clean

test: $(INSTALLED)  ## Set up, then run the tests.
	$(BIN)/python -m pytest

demo: $(INSTALLED)  ## Set up, then score a collage and a photo of a cat into demo/.
	$(BIN)/python samples/demo.py demo

check: $(INSTALLED) browser  ## Lint, types and tests, those of the page in a browser too: what CI runs.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	HEATMAP_BROWSER=required $(BIN)/python -m pytest

slow: $(INSTALLED)  ## The tests that take minutes: every torchvision CNN, more of timm.
	$(BIN)/python -m pytest -m slow

benchmarks: $(PEERS)/.installed  ## Compare with other tools; writes docs/benchmarks.md in half an hour.
	$(PEERS)/bin/python benchmarks/report.py

# As root on Debian; elsewhere its tests say what is missing.
browser:
	command -v chromium >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

clean:  ## Remove the environments and what the demo wrote.
	rm -rf .venv $(PEERS) demo

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Of its own, since SAHI installs opencv-python over opencv-python-headless.
$(PEERS)/.installed: pyproject.toml benchmarks/requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	touch $@
