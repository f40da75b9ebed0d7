# Everything here works in this folder's own .venv; nothing else on the machine is changed,
# save the system packages that `make test` may install (see scripts/system_prerequisites.sh).

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test lint format lock soak faults bench abuse autobahn clean
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
WORKERS := 3
READY := $(VENV)/.ready
UV = $$(uv --version >/dev/null 2>&1 && echo uv || echo $(BIN)/uv)

help: ## List these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with all that is needed, pinned by requirements.lock
	@echo "$(VENV) is ready"

demo: $(READY) ## Watch a small agent at work, on http://localhost:8000
	@$(BIN)/runcast demo

serve: $(READY) ## Start the server on http://localhost:8000
	$(BIN)/runcast serve --host 127.0.0.1 --port 8000

test: $(READY) ## Run the tests (choose some: make test ARGS="tests/core -x"; one after the other: WORKERS=0)
	@./scripts/system_prerequisites.sh
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: $(READY) ## Check style, format, types and the layering
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(READY) ## Put imports and layout in order
	$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

lock: ## Write requirements.lock anew (newest versions: make lock ARGS=--upgrade)
	@./scripts/make_venv.sh $(VENV)
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --extra dev --custom-compile-command "make lock" \
		--output-file requirements.lock $(ARGS) pyproject.toml

soak: $(READY) ## Run the long storms that `make test` leaves out
	@./scripts/system_prerequisites.sh
	$(BIN)/pytest -m soak $(ARGS)

faults: $(READY) ## Break nodes, links and Redis under three nodes, and print what each fault costs
	@./scripts/system_prerequisites.sh
	$(BIN)/pytest -m "soak or not soak" tests/nodes $(ARGS)

bench: $(READY) ## Measure against peers in the same run
	$(BIN)/python -m benchmarks $(ARGS)

abuse: $(READY) ## Attack a server, and print what each attack gets and costs
	$(BIN)/python -m tests.abuse.table $(ARGS)

autobahn: $(READY) ## Run the Autobahn WebSocket suite (needs Python 2.7, or wstest)
	PYTHONPATH=. $(BIN)/python scripts/autobahn.py $(ARGS)

clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) build dist .autobahn .hypothesis .import_linter_cache .pytest_cache .ruff_cache benchmarks/build
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamp is written last: a setup that was broken off begins again.
$(READY): requirements.lock pyproject.toml $(BIN)/python
	@echo "Installing what requirements.lock names into $(VENV)"
	@./scripts/make_venv.sh $(VENV)
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q src # a hook must start quickly, wherever Python is told to keep no bytecode
	@touch $@

$(BIN)/python:
	@./scripts/make_venv.sh $(VENV)
