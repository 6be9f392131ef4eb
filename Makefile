# `make run` shows the whole thing on sample data; `make test` is what has to pass before a change goes in.
# Both make their own virtual environment first (tools/bootstrap.py), which takes a moment only once.
#
#   make run ARGS="--once --json"      make test      make slow      make fault      make fuzz      make lint

PYTHON ?= python3
ARGS ?=
BOOTSTRAP = venv="$$($(PYTHON) tools/bootstrap.py)" && PATH="$$venv/bin:$$PATH" &&

.PHONY: run test slow fault fuzz lint lock clean

run: ## the demonstration; ARGS are handed on to it
	@$(BOOTSTRAP) tailrace demo $(ARGS)

test: lint ## style, types, layers, then the tests; of a store whose server cannot be had here they are skipped
	@$(BOOTSTRAP) { tailrace stack fetch --profile full || true; } && pytest -m "not slow and not long" -n 3 --dist loadfile $(ARGS)

slow: ## tests of half a minute and more: failover, silence, refusals, erasure; CI runs them behind `make test`
	@$(BOOTSTRAP) pytest -m "slow and not long" -n 3 --dist loadfile --timeout 600 $(ARGS)

fault: ## the long tests: servers killed, stopped and emptied while writes go on
	@$(BOOTSTRAP) pytest -m long $(ARGS)

fuzz: ## broken binlog streams for both readers, ten minutes; what goes wrong is kept and read by the tests ever after
	@$(BOOTSTRAP) python -m tools.fuzz $(ARGS)

lint: ## style, types and layers only; of the native reader, style and its own tests, where `cargo` is
	@$(BOOTSTRAP) ruff check && ruff format --check && mypy && lint-imports
	@if command -v cargo >/dev/null; then tools/lint-native.sh; fi

lock: ## resolve pyproject.toml anew into requirements.lock
	@$(BOOTSTRAP) if ! command -v uv >/dev/null; then pip install --quiet uv; fi && tools/lock.sh $(ARGS)

clean: ## forget caches of tools; downloads and virtual environments stay in the user's cache
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
