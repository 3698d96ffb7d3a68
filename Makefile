# Two commands: `make demo` and `make test`. Both first make .venv from requirements.txt if it is missing or outdated.
# A CPU-only PyTorch (the default one on Linux is gigabytes larger): make demo TORCH_INDEX=<address>, see README.md.
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BENCH := .venv-bench
BIN := $(VENV)/bin

.PHONY: demo test test-slow test-gpu lab book book-tools lint bench clean

demo: $(VENV)/installed
	$(BIN)/python -m adlib demo

test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" --doctest-modules adlib tests

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow tests

test-gpu:               # with the machine's own Python where .venv is not made: PyTorch, timm, scikit-image are enough
	$(if $(wildcard $(VENV)/installed),$(BIN)/python,$(PYTHON)) -m pytest -m gpu tests/gpu

lab: $(VENV)/installed
	cd notebooks && ../$(BIN)/jupyter lab

book: book-tools        # of the executed lessons in runs/lessons; RUN=1 executes first what is missing there
	$(BIN)/python docs/build.py $(if $(RUN),--run)

book-tools: $(VENV)/book docs/node_modules/installed

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb

bench: $(BENCH)/installed       # beside anomalib, on a quiet machine; all its options: make bench OPTIONS=--help
	$(BENCH)/bin/python tests/bench/against_anomalib.py $(OPTIONS)

clean:
	rm -rf $(VENV) $(BENCH) runs book docs/node_modules build dist .pytest_cache .ruff_cache .import_linter_cache adlib.egg-info jupyter_execute
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11, 4) and f"adlib needs Python 3.11.4 or newer, {sys.executable} is {v[0]}.{v[1]}.{v[2]}; name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --index-url $(TORCH_INDEX) $(shell grep -E '^torch(vision)?==' requirements.txt))
	$(BIN)/python -m pip install -r requirements.txt
	touch $@

$(BENCH)/installed: requirements.txt pyproject.toml Makefile
	$(PYTHON) -m venv $(BENCH)
	$(if $(TORCH_INDEX),$(BENCH)/bin/python -m pip install --index-url $(TORCH_INDEX) $(shell grep -E '^torch(vision)?==' requirements.txt))
	$(BENCH)/bin/python -m pip install $(shell grep -E '^(torch|torchvision|timm|numpy)==' requirements.txt) -e . anomalib==2.7.0
	touch $@

$(VENV)/book: $(VENV)/installed docs/requirements.txt
	$(BIN)/python -m pip install -r docs/requirements.txt
	touch $@

docs/node_modules/installed: docs/package-lock.json
	cd docs && npm ci --no-fund --no-audit
	touch $@
