# Everything happens in .venv; nothing else on the machine is touched.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: test demo check slow clean

test: $(INSTALLED)  ## Set up, then run the tests.
	$(BIN)/python -m pytest

demo: $(INSTALLED)  ## Set up, then score a collage and a photo of a cat into demo/.
	$(BIN)/python samples/demo.py demo

check: $(INSTALLED)  ## Lint, types and tests: what CI runs.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

slow: $(INSTALLED)  ## The tests that take minutes: every torchvision CNN, more of timm.
	$(BIN)/python -m pytest -m slow

clean:  ## Remove the environment and what the demo wrote.
	rm -rf .venv demo

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
