.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PEERS := benchmarks/peers
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python

.PHONY: help demo test lint format compile images kind-up kind-load kind-down bench parity soak lock clean

help: ## Show every target
	@grep -hE '^[a-z-]+:.*##' Makefile | sort | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/uv: requirements/uv.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(BIN)/dalsegno: $(BIN)/uv requirements/local.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements/local.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/dalsegno requirements/dev.txt
	$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(BIN)/dalsegno ## Set up, then run the whole loop on the Titanic passengers
	$(BIN)/dalsegno demo demo

test: $(BIN)/.dev ## Set up, then run the tests
	$(BIN)/python -P -m pytest

lint: $(BIN)/.dev ## Check format, style, types, layers and compiled pipelines
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dalsegno compile --check

format: $(BIN)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compile: $(BIN)/dalsegno ## Write every pipeline and component to build/*.yaml
	$(BIN)/dalsegno compile

images: $(BIN)/dalsegno ## Build the container images and print their sizes
	$(BIN)/dalsegno images

kind-up: $(BIN)/dalsegno ## Create a kind cluster with KFP and our manifests
	$(BIN)/dalsegno kind up

kind-load: $(BIN)/dalsegno ## Build the images and load them into the kind cluster
	$(BIN)/dalsegno kind load

kind-down: $(BIN)/dalsegno ## Delete the kind cluster
	$(BIN)/dalsegno kind down

bench: $(BIN)/.dev ## Measure speed beside named peers
	$(BIN)/python -P -m benchmarks

parity: $(BIN)/.dev ## Write docs/parity.md from the conformance tests
	$(BIN)/python -P -m tests.conformance

soak: $(BIN)/.dev ## Kill runs, tasks and servers 1,000 times and look for damage
	$(BIN)/python -P -m pytest tests/soak -m soak

lock: $(BIN)/uv ## Renew the hashed lock files
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) requirements/local.in -o requirements/local.txt
	$(LOCK) requirements/dev.in -c requirements/local.txt -o requirements/dev.txt
	$(LOCK) requirements/build.in -c requirements/local.txt -o requirements/build.txt
	$(LOCK) --no-deps requirements/kfp.in -c requirements/local.txt -o requirements/kfp.txt
	$(LOCK) requirements/data.in -c requirements/local.txt -o requirements/data.txt
	$(LOCK) requirements/training.in -c requirements/local.txt -o requirements/training.txt
	$(LOCK) requirements/serving.in -c requirements/local.txt -o requirements/serving.txt
	$(LOCK) requirements/mlflow.in -o requirements/mlflow.txt
	$(LOCK) --overrides $(PEERS)/overrides.txt $(PEERS)/bentoml/requirements.in -o $(PEERS)/bentoml/requirements.txt
	$(LOCK) --overrides $(PEERS)/overrides.txt $(PEERS)/kserve/requirements.in -o $(PEERS)/kserve/requirements.txt
	$(LOCK) --overrides $(PEERS)/overrides.txt $(PEERS)/mlflow/requirements.in -o $(PEERS)/mlflow/requirements.txt
	$(LOCK) --overrides $(PEERS)/overrides.txt $(PEERS)/mlserver/requirements.in -o $(PEERS)/mlserver/requirements.txt

clean: ## Remove the environment and what the demo wrote
	rm -rf .venv demo *.egg-info $(PEERS)/*/.venv
