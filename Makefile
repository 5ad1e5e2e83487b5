# Two commands for a newcomer: `make demo` and `make test`. Everything they need is created here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test lint types contracts unit test-integration conformance fuzz bench soak docs venv clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

$(STAMP): pyproject.toml constraints.txt
	@echo "creating the environment in $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

venv: $(STAMP)  ## create the environment

demo: $(STAMP)  ## collector, agents doing real work, live view; about a minute
	@$(BIN)/python -m examples.demo

test: lint types contracts unit  ## everything CI checks that needs no other runtime

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m docs.generate --check

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not integration and not faults and not long"

test-integration: $(STAMP)  ## peers that need npm, Go or Debian packages, faults, and what takes long
	tests/integration/setup.sh
	$(BIN)/python -m pytest -m "integration or faults or long"

conformance: $(STAMP)  ## the OTLP scoreboard beside rotel and the stock Collector; TARGET=grpc=h:p,http=h:p asks another
	tests/conformance/setup.sh >&2
	$(BIN)/python -m tests.conformance.scoreboard $(TARGET)

fuzz: $(STAMP)  ## RUNS=100000 mutated requests into each of the decoders, JSON, decompression and HTTP
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fuzz]'
	@for target in traces metrics logs json body http; do $(BIN)/python -m tests.fuzz.harness $$target --runs $(or $(RUNS),100000) || exit 1; done
	@$(BIN)/python -m tests.fuzz.evolve --runs $(or $(RUNS),100000)

bench: $(STAMP)  ## the published figures
	$(BIN)/python benchmarks/engine_step.py
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/collector.py
	$(BIN)/python benchmarks/collector.py --sustain 60
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/agents.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/durable_queue.py
	$(BIN)/python benchmarks/sdk_overhead.py --peers
	$(BIN)/python benchmarks/monitor.py

soak: $(STAMP)  ## twenty minutes at 20,000 spans a second with a backend that comes and goes
	$(BIN)/python benchmarks/soak.py

docs: $(STAMP)  ## regenerate docs/reference
	$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
