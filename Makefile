# Every target prepares .venv first; it is built again when pyproject.toml changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# Processes that run tests. What starts Ray has processes of its own, so more than cores would only wait for each other.
PROCESSES ?= 2
# Extra arguments for pytest: make test ARGS='tests/unit/cli -k flags'
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-long lint

help:  ## Print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

demo: $(READY)  ## Search the planted demo data and print the winner (no GPU, no download)
	$(BIN)/gazetune search search_spaces/demo.yaml --name demo-$$(date +%Y%m%d-%H%M%S)

# By file, in the order of the folders: the integration tests take longest and come first.
# make's own status hides pytest's: it is written down for .ci/run.
test: $(READY)  ## Run the tests
	@rm -f .venv/.pytest-status; status=0; $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS) || status=$$?; \
	echo $$status > .venv/.pytest-status; exit $$status

test-long: $(READY)  ## Run the tests that take minutes; PART=kills runs one part (demo gaze kills nodes rules training)
	$(BIN)/python -m pytest -m long $(if $(PART),--part $(PART)) $(ARGS)

lint: $(READY)  ## Run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m gazetune.train.processes.deepspeed_op
	@touch $@
