# Everything this project does, in one place. `make` alone lists it.

VENV   := .venv
PYTHON := $(VENV)/bin/python
export PY

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests run test test-long browser fresh bench simulate mutants chaos exhaust lint format docs lock package clean distclean

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make run SLIDE=path/to/slide.svs   publish your own slide; without SLIDE a sample is drawn'
	@echo '           ONCE=1                    stop after the job; succeeds only if it is done'
	@echo '           PORT=8000 WORKERS=2 EMULATOR=ministack|moto'
	@echo '           Settings MONGO_URI, AWS_ENDPOINT_URL and LOCALSTACK_HOST name servers of your own.'
	@echo '  make test ARGS="tests/unit -x"     lint, then only these tests, without the coverage gate'
	@echo '  make setup PY=python3.12           another Python than the first of 3.11 or later'

setup: ## Install the requirements from the lock files; immediate if nothing has changed
	@infra/setup.sh

setup-tests: setup ## Install the requirements of the tests too: Chromium and a real scan
	@infra/setup.sh --browser

run: setup ## Run the whole system on this machine and publish a slide
	@exec $(PYTHON) -m infra.local $(if $(SLIDE),--slide "$$SLIDE") $(if $(filter 1 true yes,$(ONCE)),--once) \
		$(if $(PORT),--port "$$PORT") $(if $(WORKERS),--workers "$$WORKERS") $(if $(EMULATOR),--emulator "$$EMULATOR")

test: setup-tests lint ## Lint, run all tests but the long ones, and require 98 % branch coverage of core, steps and hooks
ifdef ARGS
	$(PYTHON) -m pytest $(ARGS)
else
	$(PYTHON) -m pytest -n auto --dist loadgroup -m "not long" --cov --cov-report=term --cov-report=json:.coverage.json
	$(PYTHON) -m tests.coverage_gate .coverage.json
endif

test-long: setup-tests ## Run the long tests, which `make test` runs in a short form
	$(PYTHON) -m pytest -n auto --dist loadgroup -m long $(ARGS)

browser: setup-tests ## Run the browser tests; SCREENSHOTS=1 updates the pictures in docs/
	$(if $(filter 1 true yes,$(SCREENSHOTS)),SLIDEHOOK_SCREENSHOTS=1) $(PYTHON) -m pytest tests/browser $(ARGS)

fresh: ## Run make run and make test in a bare Debian 12, as a new user would; requires root
	@infra/fresh.sh

bench: setup ## Measure speed and memory, compared with other programs; SLIDE=path measures your own slide
	@exec $(PYTHON) -m benchmarks $(if $(SLIDE),--slide "$$SLIDE") $(if $(RUNS),--runs "$$RUNS") $(ARGS)

simulate: setup ## Simulate histories with faults; SEEDS=1000 FIRST=0 CORES=2, or SEED=n repeats one
	@exec $(PYTHON) -m tests.simulation $(if $(SEED),--seed "$$SEED") $(if $(SEEDS),--seeds "$$SEEDS") $(if $(FIRST),--first "$$FIRST") $(if $(CORES),--cores "$$CORES")

mutants: setup ## Disable each guard in turn: the simulator has to find a violation
	@exec $(PYTHON) -m tests.simulation --mutants

chaos: setup ## Kill workers and MongoDB of the real system while it ingests slides; KILLS=50 SEED=0
	@exec $(PYTHON) -m tests.chaos $(if $(KILLS),--kills "$$KILLS") $(if $(SEED),--seed "$$SEED")

exhaust: setup ## Ingest 2000 slides while each process may open 1024 files; SLIDES=2000 LIMIT=1024 WORKERS=2
	@exec $(PYTHON) -m tests.exhaust $(if $(SLIDES),--slides "$$SLIDES") $(if $(LIMIT),--limit "$$LIMIT") $(if $(WORKERS),--workers "$$WORKERS")

lint: setup ## Check style, types and the direction of imports
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports

format: setup ## Format the code
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

docs: setup ## Write the generated tables of docs/reference/
	$(PYTHON) -m infra.reference

# The first lock is what Lambda runs: only wheels, and only those that its old C library bears.
lock: setup ## Lock the requirements of the *.in files
	$(PYTHON) -m pip install --quiet --disable-pip-version-check uv
	$(PYTHON) -m uv pip compile requirements.in --python-version 3.11 \
		--python-platform x86_64-manylinux_2_17 --only-binary :all: --generate-hashes -o requirements.txt
	$(PYTHON) -m uv pip compile requirements-dev.in --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --generate-hashes -o requirements-dev.txt
	$(PYTHON) -m uv pip compile infra/emulator-requirements.in --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --generate-hashes -o infra/emulator-requirements.txt
	$(PYTHON) -m uv pip compile infra/node-requirements.in --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --generate-hashes -o infra/node-requirements.txt
	$(PYTHON) -m uv pip compile tests/scan-requirements.in --no-deps --python-version 3.11 \
		--only-binary :all: --generate-hashes -o tests/scan-requirements.txt

package: setup ## Build what is deployed into build/package: template, code, layer
	@$(PYTHON) -m infra.deploy.package

clean: ## Remove what was built; the virtual environment and .local/ stay
	rm -rf build .chalice/deployments .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov
	rm -f .coverage .coverage.*
	find app.py chalicelib infra tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Remove the virtual environment and the local system's state as well
	rm -rf $(VENV) .local
