# make run        simulate the built-in network on a shipped machine
# make test       all tests but the slow ones
# make test-all   all tests (make test-slow: only the slow ones)
# make test-jit   the tests of compiled code, once more with array bounds checked
# make lint       style and types
# make fuzz       forty times the mutants of the tests, from a new seed; an hour
# make bench      layers and whole networks against their peers
#
# Each sets up .venv by itself, and again only after pyproject.toml has changed.
# Another Python: make run PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
PYTEST := $(VENV)/bin/pytest -q --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: run test test-slow test-all test-jit lint bench fuzz

run: $(VENV)/installed
	@$(VENV)/bin/accel-sim simulate edge_16x16

test: $(VENV)/installed-dev
	@$(PYTEST) -m "not slow"

test-slow: $(VENV)/installed-dev
	@$(PYTEST) -m slow

test-all: $(VENV)/installed-dev
	@$(PYTEST)

# Numba does not tell checked code from unchecked in its cache: this run gets its own.
JIT_TESTS := $(addprefix tests/,fixedpoint functional kernels timing test_exact_networks.py \
             test_format_errors.py test_map_sums.py test_measure.py)

test-jit: $(VENV)/installed-dev
	@cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && \
	NUMBA_BOUNDSCHECK=1 XDG_CACHE_HOME=$$cache $(PYTEST) -m "not slow" $(JIT_TESTS)

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy benchmarks

fuzz: $(VENV)/installed-dev
	@ACCEL_SIM_FUZZ_SEED=$${ACCEL_SIM_FUZZ_SEED:-$$(date +%s)} ACCEL_SIM_FUZZ_TIMES=40 \
	$(PYTEST) -m slow tests/fuzz

bench: $(VENV)/installed-dev
	@$(VENV)/bin/python benchmarks/kernels.py
	@$(VENV)/bin/python benchmarks/networks.py

install = $(VENV)/bin/python -m pip --disable-pip-version-check install -qq --editable

$(VENV)/installed: pyproject.toml $(VENV)/bin/python
	@echo "installing accel-sim into $(VENV): a minute or two"
	@$(install) .
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/bin/python
	@echo "installing accel-sim and what its tests need into $(VENV): a minute or two"
	@$(install) '.[dev]'
	@touch $(VENV)/installed $@

# Three words: the version, "new" if that is enough, "venv" if it can make environments.
# Nothing if there is no such Python. Old ones must understand it too.
probe := import sys; print("%d.%d" % sys.version_info[:2]); \
         print("new" if sys.version_info >= (3, 11) else "old"); \
         import ensurepip; print("venv")

# A failing command would be two lines, the second by make; $(error) is one.
$(VENV)/bin/python:
	$(eval found := $(shell $(PYTHON) -c '$(probe)' 2>/dev/null))
	$(if $(found),,$(error No Python at '$(PYTHON)'; install Python 3.11 or newer with its \
	venv module (Debian: apt install python3 python3-venv), or name one: PYTHON=/path/to/python3))
	$(if $(filter new,$(found)),,$(error $(PYTHON) is Python $(firstword $(found)) but 3.11 or \
	newer is needed; install one with its venv module and name it: PYTHON=python3.11))
	$(if $(filter venv,$(found)),,$(error $(PYTHON) cannot make environments; install its venv \
	module (Debian: apt install python$(firstword $(found))-venv)))
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
