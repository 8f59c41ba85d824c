# The commands of the project. All of them use .venv, which is made when it is needed.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := kestrapy tests $(wildcard benchmarks/*.py examples/*.py)

.PHONY: venv demo test check conformance sim soak mutants bench-smoke bench-skew bench-one-slot chaos clean

venv: .venv/installed

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.x")'
	@echo "Installing into .venv: a minute or so, the first time."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: venv
	@$(BIN)/kestrapy demo

# One Kafka and one PostgreSQL for all of the tests' processes. Side by side what mostly waits; then,
# one by one, what measures itself by the clock. PYTEST_ARGS='-k log' chooses tests, in one go.
JOBS ?= 2
test: venv check
ifdef PYTEST_ARGS
	$(BIN)/python -m tests.services $(BIN)/pytest $(PYTEST_ARGS)
else
	$(BIN)/python -m tests.services sh -c 'failed=0; \
	  $(BIN)/pytest -n $(JOBS) --dist loadfile -m "not acceptance" || failed=1; \
	  $(BIN)/pytest -m acceptance || failed=1; exit $$failed'
endif

check: venv
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet tests/tidy

# Kestra's own test flows, where the corpus lies beside this repository: how many come out as there.
conformance: venv
	$(BIN)/pytest --quiet -m "not external" tests/conformance
	$(BIN)/python -m tests.conformance --quiet

# Clusters on virtual time, with faults: 200 of them; for so many seconds; with planted bugs.
sim: venv
	$(BIN)/python -m kestrapy.sim

soak: venv
	$(BIN)/python -m kestrapy.sim --seconds $(or $(SECONDS),600) --seeds $(or $(FIRST),1000)

mutants: venv
	$(BIN)/python -m tests.simulation.hunt

bench-smoke: venv
	$(BIN)/python -m benchmarks.smoke

# How well slots are used, by both kinds of dispatch: some minutes.
bench-skew: venv
	$(BIN)/python -m benchmarks.waiting skew
	$(BIN)/python -m benchmarks.waiting skew --dispatch share

bench-one-slot: venv
	$(BIN)/python -m benchmarks.waiting one-slot

# Five minutes of faults on three brokers; SEED chooses who is harmed when.
SEED ?= 1
chaos: venv
	$(BIN)/python -m tests.acceptance.chaos --executions 2000 --seconds 300 --rolling 2 --seed $(SEED) \
	  --out benchmarks/results/chaos-$(SEED).json

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
