# Every chore has a target here; `make help` lists them.
# PYTHON picks the interpreter for the virtual environment (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENARIO ?= showcase
PORT ?= 8089

.DEFAULT_GOAL := help
.PHONY: help run setup test pythons lint format gauges lock audit picture screenshots bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Set up, then show an attack on the live page (SCENARIO=, PORT=)
	@echo "Open http://127.0.0.1:$(PORT)/banksim/ for the live page (Locust's own is at http://127.0.0.1:$(PORT)/)."
	@trap : INT; $(BIN)/locust -f locustfiles/banking.py --scenario $(SCENARIO) --dry-run --autostart --web-port $(PORT) || [ $$? -eq 130 ]

setup: $(VENV)/.run ## Only set up what a run needs

test: $(VENV)/.dev ## Set up, then run all tests (TESTS= some of them)
	$(BIN)/python -m pytest $(TESTS)

pythons: $(VENV)/.dev ## The unit tests under every Python that is supported and on this machine
	$(BIN)/python -m tests.pythons

lint: $(VENV)/.dev ## Style, types and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

gauges: $(VENV)/.dev ## Print the gauges of the code's structure, each with its limit (--list: python -m tests.gauges --list)
	$(BIN)/python -m tests.gauges

lock: $(VENV)/.dev ## Lay down anew the exact versions and hashes of all that a run needs (needs a network)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo '# All that a run and the image need: exact versions, and hashes of all their files.  `make lock` makes it anew.' >requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--extra postgres --constraint requirements-dev.txt pyproject.toml >>requirements.lock

audit: $(VENV)/.dev ## Look the pinned packages up in the list of known vulnerabilities (needs a network)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --disable-pip --requirement requirements.lock

picture: $(VENV)/.run ## Draw the picture of the architecture from the imports
	$(BIN)/python docs/draw_architecture.py

screenshots: $(VENV)/.dev ## Take the pictures of the pages and of a report in docs/images anew (needs Chromium)
	$(BIN)/python docs/take_screenshots.py

bench: $(VENV)/.bench ## Benchmarks: ratios measured side by side
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done
	@echo "== benchmarks/soak.py, six minutes of its hour"; $(BIN)/python benchmarks/soak.py --minutes 6 --tps 1000 || [ $$? -eq 1 ]

clean: ## Remove the virtual environment, caches and results
	rm -rf $(VENV) .venv-3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis out
	find reports -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("banksim needs Python 3.11 or newer, " + sys.executable + " is " + sys.version.split()[0] + "; try make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-bench.txt
	@touch $@
