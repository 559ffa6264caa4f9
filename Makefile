# ganneal: `make` lists what there is.
# PYTHON  the interpreter that makes the environment (3.11 or newer)
# VENV    where the environment lies
# WORKERS processes in which the tests run, about 1.5 GB each

PYTHON ?= python3
VENV   ?= .venv
WORKERS ?= 2

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
SETS := pyproject.toml constraints.txt

# Packages whose shapes are checked while the tests run (jaxtyping's import hook with beartype).
CHECKED := ganneal.annealing,ganneal.nets,ganneal.objectives,ganneal.scores
PYTEST  := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --jaxtyping-packages=$(CHECKED),beartype.beartype

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-all lint docs readme wheel bench clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- environments: a stamp for each set, so that nothing is installed twice ---

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "ganneal needs Python 3.11 or newer, and %s is %d.%d: try make PYTHON=python3.11" % (sys.executable, v[0], v[1]))'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.has-core: $(SETS) | $(BIN)/python
	@echo "installing ganneal into $(VENV) (once; minutes on a slow line)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.has-dev: $(SETS) | $(BIN)/python
	@echo "installing ganneal and what its tests need into $(VENV) (once; minutes on a slow line)"
	@$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.has-core

$(VENV)/.has-docs: $(SETS) | $(BIN)/python
	@echo "installing ganneal and what its documentation needs into $(VENV) (once)"
	@$(PIP) -e ".[docs]"
	@touch $@ $(VENV)/.has-core

# --- targets ---

demo: $(VENV)/.has-core  ## train on handwritten digits, about a minute; prints the verdict and where the report is
	@$(BIN)/ganneal train digits

test: $(VENV)/.has-dev  ## the tests, without those marked slow; some minutes, with shapes checked
	@$(PYTEST) -m "not slow"

test-all: $(VENV)/.has-dev  ## all tests, the slow ones too
	@$(PYTEST)

lint: $(VENV)/.has-dev  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/mypy

docs: $(VENV)/.has-docs  ## the documentation, as HTML in docs/_build/html; warnings are errors
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

readme: $(VENV)/.has-core  ## write the table of parts in README.md anew
	@$(BIN)/python docs/extensions/parts.py README.md

wheel: | $(BIN)/python  ## build the wheel into dist/ and try it in an environment of its own, from another folder
	@rm -rf dist/ganneal-*.whl build/wheel
	@$(PIP:install=wheel) --no-deps --wheel-dir dist .
	@$(PYTHON) -m venv build/wheel
	@echo "installing the wheel into build/wheel (removed afterwards)"
	@build/wheel/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt dist/ganneal-*.whl
	@bin="$(CURDIR)/build/wheel/bin"; away=$$(mktemp -d) && cd "$$away" && unset PYTHONPATH && \
	  "$$bin/ganneal" --help >/dev/null && "$$bin/ganneal" train digits --steps 20 >/dev/null && test -s runs/digits-1/report.html && rm -rf "$$away"
	@rm -rf build/wheel
	@echo "wheel: $$(ls dist/ganneal-*.whl); it installs, shows its help, trains and reports"

bench: $(VENV)/.has-dev  ## the benchmarks that need nothing but this clone (not quick); results in benchmarks/results/
	$(BIN)/python benchmarks/annealing.py digits
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/twosample_size.py
	$(BIN)/python benchmarks/power.py
	$(BIN)/python benchmarks/twosample_speed.py
	$(BIN)/python benchmarks/diffusion_speed.py
	$(BIN)/python benchmarks/kidney.py
	$(BIN)/python benchmarks/samplers.py
	$(BIN)/python benchmarks/stabilisers.py
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/spectra.py
	$(BIN)/python benchmarks/compare_speed.py

clean:  ## remove what was built; keeps the environment and runs/
	@rm -rf build dist docs/_build docs/reference/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests docs benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
